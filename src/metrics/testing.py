"""For the tests of the apps that use us: a client that sends nothing and remembers everything."""

from metrics.client.client import Client
from metrics.client.stats import Stats
from metrics.message import check_key, check_value


class Recorder(Client):
    """Takes the place of a client in a test, and shows what was recorded.

    Args:
        key: Of the app instance, for ``timer()`` and the middleware. Default: METRICS_KEY.

    Attributes:
        messages: The keys and values, in the order in which they were recorded.

    Raises:
        ValueError: If the key is none.
    """

    def __init__(self, *, key: str | None = None) -> None:
        super().__init__(key=key, enabled=False)
        self.messages: list[tuple[str, float]] = []

    def record(self, key: str, value: float) -> None:
        """Remember a response time.

        Raises:
            InvalidMessageError: If key or value is none; a ValueError.
        """
        self.messages.append((check_key(key), check_value(value)))

    def values(self, key: str) -> list[float]:
        """Return the values of a key, in the order in which they were recorded."""
        return [value for recorded, value in self.messages if recorded == key]

    def clear(self) -> None:
        """Forget what was recorded."""
        self.messages.clear()

    @property
    def stats(self) -> Stats:
        """As if everything had been sent."""
        return Stats(recorded=len(self.messages), sent=len(self.messages))
