"""Key-hours are read from their hashes piece by piece, and added up hour by hour.

Redis does one thing at a time, and so does this process. So hashes are read in pieces of about
``FIELDS_PER_REPLY`` fields, between which others have their turn.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, groupby
from operator import attrgetter

from metrics.connection import Call, Connection, command, done
from metrics.errors import KeyHourUnsoundError, MetricsError, StorageUnsoundError
from metrics.hash_fields import FIELDS, parse_fields
from metrics.hours import Hour
from metrics.merged import Merger
from metrics.node import Argument, Reply
from metrics.soundness import (
    FIELDS_PER_HASH_MAX,
    SoundHashes,
    UnsoundHashError,
    join_pages,
    read_hashes,
)

FIELDS_PER_REPLY = 2_000
"""How many fields are asked for at once: this process is busy with them for about a millisecond."""

HASH_COST_FIELDS = 30
"""What a hash costs besides its fields, in fields."""

WIDE_FIELDS = 20_000
"""A hash of more fields is read in pieces itself."""

WIDE_TRIES = 3
"""How often a hash of many fields is read piece by piece before it is read in one go."""


@dataclass(frozen=True, slots=True)
class KeyHour:
    """A key-hour that is asked for.

    Attributes:
        index: Which of the hours that were asked for it is of.
        key: Its key.
        hour: Its hour.
        name: The name of its hash.
    """

    index: int
    key: str
    hour: Hour
    name: str

    def unsound(self, fault: str) -> KeyHourUnsoundError:
        """Return the error that says what is wrong with it."""
        return KeyHourUnsoundError(self.name, key=self.key, hour=str(self.hour), fault=fault)


class AddedUp:
    """The key-hours of one hour.

    Attributes:
        merger: What adds them up.
        keys: The keys that have messages.
    """

    def __init__(self) -> None:
        self.merger = Merger()
        self.keys: set[str] = set()

    def add(self, hashes: SoundHashes, keys: Sequence[str], first: int) -> None:
        """Add key-hours.

        Args:
            hashes: They are among these, one after the other.
            keys: Of each its key.
            first: Which of the hashes is that of the first.
        """
        end = first + len(keys)
        self.merger.add(hashes, first, end)
        self.keys.update(compress(keys, hashes.count[first:end]))


class KeyHours:
    """Reads key-hours.

    Args:
        connection: The way to Redis.
        pause: Called between pieces: others have a turn then.
    """

    def __init__(self, connection: Connection, pause: Callable[[], None] = lambda: None) -> None:
        self._connection = connection
        self._pause = pause

    def sizes(self, key_hours: Sequence[KeyHour]) -> list[tuple[KeyHour, int]]:
        """Return key-hours, each with its number of fields; see ``sized`` for errors."""
        return sized(key_hours, self._connection.execute(length_calls(key_hours)))

    def read(self, sized: Iterable[tuple[KeyHour, int]], hours: int) -> list[AddedUp]:
        """Return what key-hours add up to, for each of the hours.

        Args:
            sized: Each with its number of fields, hour by hour.
            hours: How many hours there are.

        Raises:
            KeyHourUnsoundError: If a hash is not that of a key-hour.
            MetricsError: If Redis did not reply.
        """
        added = [AddedUp() for _ in range(hours)]
        for piece in _pieces(sized):
            if len(piece) == 1 and piece[0][1] > WIDE_FIELDS:
                self._add_wide(piece[0][0], added[piece[0][0].index])
            else:
                self._add([each for each, _ in piece], added)
            self._pause()
        return added

    def _add(self, key_hours: Sequence[KeyHour], added: Sequence[AddedUp]) -> None:
        """Read some in one go, and add each to those of its hour."""
        replies = self._connection.execute([command("HGETALL", each.name) for each in key_hours])
        try:
            hashes = read_hashes(
                [_of(each, reply) for each, reply in zip(key_hours, replies, strict=True)]
            )
        except UnsoundHashError as error:
            raise key_hours[error.index].unsound(error.fault) from error
        end = 0
        for index, group in groupby(key_hours, key=attrgetter("index")):
            keys, first = [each.key for each in group], end
            end += len(keys)
            added[index].add(hashes, keys, first)

    def _add_wide(self, each: KeyHour, hour: AddedUp) -> None:
        """Read a hash that would take too long in one go, and add it.

        Each commit changes a field that is no bucket. So if none of these has changed, all pages
        are of the same moment.
        """
        for _ in range(WIDE_TRIES):
            before = self._ask(each, "HMGET", each.name, *FIELDS)
            pages = []
            cursor = b""
            while cursor != b"0":
                cursor, items = self._ask(
                    each, "HSCAN", each.name, cursor or 0, "COUNT", FIELDS_PER_REPLY
                )
                pages.append(parse_fields(items[::2], items[1::2], len(items) // 2))
            if self._ask(each, "HMGET", each.name, *FIELDS) == before:
                break
        else:
            items = self._ask(each, "HGETALL", each.name)
            pages = [parse_fields(items[::2], items[1::2], len(items) // 2)]
        try:
            hour.add(join_pages(pages), [each.key], 0)
        except UnsoundHashError as error:
            raise each.unsound(error.fault) from error

    def _ask(self, each: KeyHour, *arguments: Argument) -> Reply:
        return _of(each, self._connection.execute([command(*arguments)])[0])


def length_calls(key_hours: Iterable[KeyHour]) -> list[Call]:
    """Return the calls that ask for the numbers of fields."""
    return [command("HLEN", each.name) for each in key_hours]


def sized(
    key_hours: Sequence[KeyHour], replies: Sequence[Reply | MetricsError]
) -> list[tuple[KeyHour, int]]:
    """Return key_hours, each with its number of fields.

    Raises:
        KeyHourUnsoundError: If one has more than a key-hour can.
    """
    sized = []
    for each, reply in zip(key_hours, replies, strict=True):
        size = _of(each, reply)
        if size > FIELDS_PER_HASH_MAX:
            raise each.unsound(f"{size} fields are more than a key-hour can have")
        sized.append((each, size))
    return sized


def _pieces(sized: Iterable[tuple[KeyHour, int]]) -> Iterator[list[tuple[KeyHour, int]]]:
    """Yield hashes that are read at once: about ``FIELDS_PER_REPLY`` fields, or one hash."""
    piece: list[tuple[KeyHour, int]] = []
    fields = 0
    for each, size in sized:
        cost = size + HASH_COST_FIELDS
        if piece and fields + cost > FIELDS_PER_REPLY:
            yield piece
            piece, fields = [], 0
        piece.append((each, size))
        fields += cost
    if piece:
        yield piece


def _of(each: KeyHour, reply: Reply | MetricsError) -> Reply:
    """Return what Redis replied about a hash.

    Raises:
        KeyHourUnsoundError: If it is something else than a hash.
        MetricsError: Whatever other error it had.
    """
    if isinstance(reply, StorageUnsoundError):
        raise each.unsound("it is no hash") from reply
    return done(reply)
