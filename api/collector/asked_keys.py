"""Keys that a request asks for, while they wait for their turn."""

from metrics.hours import Hour


class Asked:
    """Keys that one request asks for, as many as a round asks for at most.

    Attributes:
        keys: Those that are not let in so far.
        is_answered: Whether they had their turn.
        are_new: Whether Redis said of all of them that they are new.
    """

    __slots__ = ("are_new", "is_answered", "keys")

    def __init__(self, keys: dict[str, Hour]) -> None:
        self.keys = keys
        self.is_answered = self.are_new = False
