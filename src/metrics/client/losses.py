"""What was dropped, by key and hour: few enough names that they need little memory."""

Hours = dict[tuple[str, int], int]
"""Key and hour (since 1970) -> how many values."""

NAMES_MAX = 1000
"""How many keys and hours have a sum of their own; what is of others is put down to one key."""

OTHER_KEY = "metrics.client"
"""That key, if the client has none of its own."""


class Losses:
    """Sums of what was dropped, for one thread.

    Args:
        other_key: Of what is one key too many.
    """

    def __init__(self, other_key: str = OTHER_KEY) -> None:
        self._other_key = other_key
        self._found: Hours = {}

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._found)

    def add(self, hours: Hours) -> None:
        """Add what was dropped."""
        for (key, hour), count in hours.items():
            name = key, hour
            if name not in self._found and len(self._found) >= NAMES_MAX:
                name = self._other_key, hour
            self._found[name] = self._found.get(name, 0) + count

    def take(self) -> Hours:
        """Return what there is, and begin anew."""
        found, self._found = self._found, {}
        return found
