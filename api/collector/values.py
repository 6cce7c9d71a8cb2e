"""The values of one key-hour while a request is read, and how they become a column."""

from collections.abc import Callable
from dataclasses import dataclass, field

from metrics.entry import Column, write_values

VALUES_AT_ONCE = 10_000
"""How many values are written before others may go on."""


@dataclass(slots=True)
class Values:
    """Values in their order.

    Attributes:
        values: The values.
        weights: How many messages each stands for; None if each is one.
    """

    values: list[float] = field(default_factory=list)
    weights: list[int] | None = None

    def add(self, value: float, weight: int) -> None:
        """Add a value that stands for so many messages."""
        if weight != 1 and self.weights is None:
            self.weights = [1] * len(self.values)
        self.values.append(value)
        if self.weights is not None:
            self.weights.append(weight)

    def column(self, key_hour: str, pause_if_due: Callable[[], None]) -> Column:
        """Return them as the column of a key-hour.

        Args:
            key_hour: As ``keyspace.key_hour`` writes it.
            pause_if_due: Lets other requests go on.
        """
        texts = []
        for start in range(0, len(self.values), VALUES_AT_ONCE):
            some = slice(start, start + VALUES_AT_ONCE)
            texts.append(write_values(self.values[some], self.weights and self.weights[some]))
            if len(self.values) > VALUES_AT_ONCE:
                pause_if_due()
        return Column(key_hour, ",".join(texts), len(self.values))
