"""This way to Redis cannot reach some partitions, as if their node were away."""

from collections.abc import Sequence

from metrics.connection import Call, Connection, done
from metrics.errors import StorageUnavailableError


class PartlyAway:
    """Stands in front of a connection.

    Attributes:
        away: The partitions that cannot be reached.
    """

    def __init__(self, connection: Connection, away: Sequence[int] = ()) -> None:
        self._connection = connection
        self.away = set(away)

    def execute(self, calls: Sequence[Call], *, replicas: int = 0) -> list:
        """Pass on what is for partitions that are there."""
        there = [call for call in calls if not self._is_away(call.key)]
        replies = iter(self._connection.execute(there, replicas=replicas))
        return [
            StorageUnavailableError("away") if self._is_away(call.key) else next(replies)
            for call in calls
        ]

    def ask(self, call: Call) -> object:
        """Pass on one call."""
        return done(self.execute([call])[0])

    def node_name_of(self, key: str) -> str:
        """Return which of two nodes has a key."""
        return "away" if self._is_away(key) else "there"

    def _is_away(self, key: str | None) -> bool:
        return any(f"{{{number}}}" in str(key) for number in self.away)
