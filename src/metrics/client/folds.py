"""What was folded and waits to be sent: bounded in bytes, and so in keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metrics.client.fold import Fold, count_buckets
from metrics.client.losses import OTHER_KEY, Losses

FOLD_BUCKETS = 8
"""How many buckets a fold takes the room of, by itself."""

BUCKET_BYTES = 110
"""What a bucket takes at most, or an eighth of an empty fold with its key."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A fold, and whose it is.

    Attributes:
        key: Its key.
        hour: Its hour, since 1970.
        fold: The values.
    """

    key: str
    hour: int
    fold: Fold

    @property
    def written(self) -> str:
        """It as an item of JSON."""
        return self.fold.written(self.key, self.hour)


class Folds:
    """Folds by key and hour. For one thread at a time; its counts may be read in any.

    Args:
        buckets_max: How many buckets there is room for; a key and hour takes that of 8 more.
        other_key: Of what is dropped of one key too many.

    Attributes:
        count: How many values are folded and not taken.
        dropped: How many values there ever was no room for.
        losses: Of which keys and hours these are, since it was last asked.
    """

    def __init__(self, buckets_max: int, other_key: str = OTHER_KEY) -> None:
        self._room = self._buckets_max = buckets_max
        self._open: dict[tuple[str, int], Fold] = {}
        self._full: list[Folded] = []
        self.count = 0
        self.dropped = 0
        self.losses = Losses(other_key)

    def add(self, key: str, hour: int, values: Sequence[float]) -> None:
        """Fold values of a key and hour, or drop and count them if there is no room."""
        name = key, hour
        counts = count_buckets(values)
        fold = self._open.get(name)
        if fold is not None and not fold.has_room_for(len(values), counts):
            self._full.append(Folded(key, hour, self._open.pop(name)))
            fold = None
        needed = FOLD_BUCKETS + len(counts) if fold is None else fold.new_in(counts)
        if needed > self._room:
            self.dropped += len(values)
            self.losses.add({name: len(values)})
            return
        if fold is None:
            fold = self._open[name] = Fold()
        fold.add(values, counts)
        self._room -= needed
        self.count += len(values)

    def take(self) -> Iterator[Folded]:
        """Take out what there is."""
        opened, full = self._open, self._full
        self._open, self._full = {}, []
        yield from full
        yield from (Folded(key, hour, fold) for (key, hour), fold in opened.items())

    def release(self, folded: Sequence[Folded]) -> None:
        """Make room in the place of folds that were taken and are done with."""
        for each in folded:
            self.count -= each.fold.count
            self._room += FOLD_BUCKETS + len(each.fold.buckets)
