"""What an app knows of its own run: what must be found in its key-hours, and how long it took."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class KeyHour:
    """What an app has recorded in one hour.

    Attributes:
        count: Values that were not dropped.
        sum: Of these.
        dropped: Values that were.
    """

    count: int = 0
    sum: float = 0.0
    dropped: int = 0


@dataclass(slots=True)
class Report:
    """The run of one app, as JSON by msgspec.

    Attributes:
        key: Its key.
        hours: Hour, as ``2026-11-23T14`` -> what it has recorded in it.
        record_ns: Phase of the run -> how long each call of ``record`` took in it.
        stats: What its client tells at the end, by name.
        is_delivered: Whether the client says that nothing was left when it was closed.
    """

    key: str
    hours: dict[str, KeyHour] = field(default_factory=dict)
    record_ns: dict[str, list[int]] = field(default_factory=dict)
    stats: dict[str, int | str | None] = field(default_factory=dict)
    is_delivered: bool = False

    @property
    def recorded(self) -> int:
        """How many values it has recorded, those that were dropped with them."""
        return sum(each.count + each.dropped for each in self.hours.values())

    @property
    def dropped(self) -> int:
        """How many of them were dropped."""
        return sum(each.dropped for each in self.hours.values())
