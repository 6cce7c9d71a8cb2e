"""A queue for servers without greenlets: the thread of a request sends its items at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metrics.stream import Item


@dataclass(frozen=True, slots=True)
class SentAppend:
    """An item that was sent.

    Attributes:
        outcome: Its outcome, or its error.
    """

    outcome: object

    def result(self) -> object:
        """Return the outcome.

        Raises:
            Exception: The error that stands in its place.
        """
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class InlineQueue:
    """Does what a send queue does where a request has a thread, which may wait for itself.

    Args:
        send: Sends items, as ``Appender.send`` does.
    """

    def __init__(self, send: Callable[[Sequence[Item]], Sequence[object]]) -> None:
        self._send = send

    def submit(self, item: Item, length: int, deadline: float) -> SentAppend:
        """Send an item, and wait for Redis as long as its time-outs allow.

        Args:
            item: What to send.
            length: Of no importance here.
            deadline: Of no importance here.
        """
        try:
            (outcome,) = self._send([item])
        except Exception as error:  # noqa: BLE001  (the request raises it)
            outcome = error
        return SentAppend(outcome)
