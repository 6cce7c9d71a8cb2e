"""What became of the values that an app recorded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the values of a client, in this process.

    ``recorded = sent + rejected + dropped + buffered``, whenever nothing is just on its way.

    Attributes:
        recorded: How many were recorded.
        sent: How many a collector has accepted.
        rejected: How many collectors refused; they are not sent again.
        dropped: How many found no room, or were given up.
        buffered: How many wait, folded or not, or are on their way.
        retries: How often a batch was sent again.
        last_error: What went wrong last; None if nothing did.
    """

    recorded: int = 0
    sent: int = 0
    rejected: int = 0
    dropped: int = 0
    buffered: int = 0
    retries: int = 0
    last_error: str | None = None
