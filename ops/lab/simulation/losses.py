"""Loss reports in the ledger: messages of a name of their own, whose value is what was dropped.

So the digits of ``dropped`` tell of each report how often it was counted, as those of a sum do. A
report may say a billion at most, so a key has room for 15; a schedule has a few of each.
"""

from ops.lab.ledger import BASE, Counted

_PREFIX = "dropped of "


def name_of(key: str) -> str:
    """Return the name under which the ledger has the loss reports of a key."""
    return f"{_PREFIX}{key}"


def key_of(name: str) -> str:
    """Return the key that a name in the ledger is of, be it of messages or of loss reports."""
    return name.removeprefix(_PREFIX)


def counted(dropped: int) -> Counted:
    """Return what a key-hour has of loss reports; their number is the sum of the digits.

    Args:
        dropped: As its hash says.
    """
    reports, rest = 0, dropped
    while rest:
        rest, times = divmod(rest, BASE)
        reports += times
    return Counted(float(dropped), reports)
