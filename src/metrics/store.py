"""The query's side: the aggregates of what was asked for, and whether they are complete.

Its reads are in this order, each awaited before the next: the backlogs, the known keys if a prefix
is asked for, the hashes. What a backlog no longer holds, the reads after it find, wherever a slot
that moves has them meanwhile.

Redis does one thing at a time, and so does this process. So hashes are read in pieces of about
``FIELDS_PER_REPLY`` fields, between which others have their turn; and what takes many of them is
let in by an ``Admission``, a few at once.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from itertools import groupby, islice

from metrics.aggregate import Aggregate
from metrics.connection import Call, Connection, command, done
from metrics.errors import (
    InvalidQueryError,
    KeyHourUnsoundError,
    MetricsError,
    StorageUnsoundError,
)
from metrics.hours import Hour
from metrics.keyspace import PartitionNames, key_hour, partition_of
from metrics.known_keys import KnownKeys, TooManyKeysError
from metrics.merged import Merger
from metrics.node import Argument, Reply
from metrics.soundness import FIELDS, FIELDS_PER_HASH_MAX, UnsoundHashError, parse_fields

WILDCARD = "*"
"""At the end of a key that is asked for: all keys that begin with what stands before it."""

KEY_HOURS_MAX = 50_000
"""How many key-hours one question may touch."""

FIELDS_MAX = 12_000_000
"""How many fields of hashes one question may read."""

FIELDS_PER_REPLY = 4_000
"""How many fields are asked for at once: Redis and this process are busy for some milliseconds."""

HASH_COST_FIELDS = 30
"""What a hash costs besides its fields, in fields."""

LENGTHS_PER_REPLY = 100
"""Of how many hashes the numbers of fields are asked for at once."""

SMALL_FIELDS = 20_000
SMALL_KEY_HOURS = 500
"""A question that reads no more is small: it waits for no other."""

WIDE_TRIES = 3
"""How often a hash of many fields is read piece by piece before it is read in one go."""


@dataclass(frozen=True, slots=True)
class HourResult:
    """What Redis holds of what was asked for, in one hour.

    Attributes:
        aggregate: Of the messages that are committed.
        keys: How many keys have messages.
        is_drained: Whether no message of the hour is still in the backlog of a partition that
            was read.
    """

    aggregate: Aggregate
    keys: int
    is_drained: bool


@dataclass(frozen=True, slots=True)
class _Hash:
    """The hash of a key-hour.

    Attributes:
        index: Which of the hours that were asked for it is of.
        key: Its key.
        hour: Its hour.
        name: Its name.
    """

    index: int
    key: str
    hour: Hour
    name: str

    def unsound(self, fault: str) -> KeyHourUnsoundError:
        """Return the error that says what is wrong with it."""
        return KeyHourUnsoundError(self.name, key=self.key, hour=str(self.hour), fault=fault)


class Store:
    """Reads key-hours, in a number of round trips that does not depend on that of messages.

    Args:
        connection: The way to Redis.
        partitions: How many there are.
        known_keys: The keys of prefixes; this has its own if there is none to share.
        large: What a question that is not small is done in; waits until there is room, or raises.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        partitions: int,
        known_keys: KnownKeys | None = None,
        large: AbstractContextManager[None] | None = None,
    ) -> None:
        self._connection = connection
        self._partitions = partitions
        self._known_keys = known_keys or KnownKeys(connection, partitions=partitions)
        self._large = nullcontext() if large is None else large

    def read(self, key: str, hours: Sequence[Hour]) -> Iterator[HourResult]:
        """Read what is known of a key, or of all keys with a prefix, in each of some hours.

        Args:
            key: A key; or a prefix, which may be empty, and ``*``.
            hours: The hours, from the first to the last.

        Returns:
            One result for each hour; its buckets are put in order when it is asked for.

        Raises:
            InvalidQueryError: If that touches too much.
            OverloadedError: If it is large, and too many such are being answered.
            StorageUnavailableError: If any partition that may have such a key is away.
            StorageUnsoundError: If what is there is not ours.
        """
        if key.endswith(WILDCARD):
            are_drained, mergers = self._read_prefix(key, hours)
        else:
            are_drained, mergers = self._read_key(key, hours)
        return (
            HourResult(merger.merged(), merger.keys, is_drained)
            for merger, is_drained in zip(mergers, are_drained, strict=True)
        )

    def _read_key(self, key: str, hours: Sequence[Hour]) -> tuple[list[bool], list[Merger]]:
        hashes = list(self._hashes_of({key: hours[-1].digits}, hours))
        partition = PartitionNames(partition_of(key, self._partitions))
        calls = _backlog_calls([partition], hours)
        replies = self._connection.execute([*calls, *_length_calls(hashes)])
        are_drained = _are_drained(replies[: len(calls)])
        # One that is empty is read as well: it may have been asked for before the backlog was.
        sized = _sized(hashes, replies[len(calls) :])
        fields = _fields_in(key, sized)
        with self._large if fields > SMALL_FIELDS else nullcontext():
            return are_drained, self._merged(sized, len(hours))

    def _read_prefix(self, key: str, hours: Sequence[Hour]) -> tuple[list[bool], list[Merger]]:
        partitions = [PartitionNames(number) for number in range(self._partitions)]
        are_drained = _are_drained(self._connection.execute(_backlog_calls(partitions, hours)))
        newest = self._newest_hours(key, hours)
        touched = _count_key_hours(newest, hours)
        if touched > KEY_HOURS_MAX:
            raise _too_much(key, f"{touched} key-hours", KEY_HOURS_MAX)
        with ExitStack() as stack:
            is_large = touched > SMALL_KEY_HOURS
            if is_large:
                stack.enter_context(self._large)
            hashes = self._hashes_of(newest, hours)
            sized: list[tuple[_Hash, int]] = []
            while some := list(islice(hashes, LENGTHS_PER_REPLY)):
                replies = self._connection.execute(_length_calls(some))
                sized += [each for each in _sized(some, replies) if each[1]]
            if _fields_in(key, sized) > SMALL_FIELDS and not is_large:
                stack.enter_context(self._large)
            return are_drained, self._merged(sized, len(hours))

    def _newest_hours(self, key: str, hours: Sequence[Hour]) -> dict[str, int]:
        prefix = key.removesuffix(WILDCARD)
        try:
            return self._known_keys.newest_hours(
                prefix, hours[0], hours[-1], keys_max=KEY_HOURS_MAX
            )
        except TooManyKeysError as error:
            # Each touches one hour at least.
            raise _too_much(key, f"{error.count} key-hours", KEY_HOURS_MAX) from error

    def _hashes_of(self, newest: Mapping[str, int], hours: Sequence[Hour]) -> Iterator[_Hash]:
        """Yield the hashes of keys up to the newest hour of each, in digits."""
        for index, hour in enumerate(hours):
            since = hour.digits
            for key, digits in newest.items():
                if digits >= since:
                    partition = PartitionNames(partition_of(key, self._partitions))
                    yield _Hash(index, key, hour, partition.hour(key_hour(key, hour)))

    def _merged(self, sized: Sequence[tuple[_Hash, int]], hours: int) -> list[Merger]:
        """Return for each hour what adds its hashes up."""
        mergers = [Merger() for _ in range(hours)]
        for piece in _pieces(sized):
            if len(piece) == 1 and piece[0][1] > SMALL_FIELDS:
                self._add_wide(piece[0][0], mergers[piece[0][0].index])
            else:
                self._add([each for each, _ in piece], mergers)
        return mergers

    def _add(self, hashes: Sequence[_Hash], mergers: Sequence[Merger]) -> None:
        """Read some hashes in one go, and add each to those of its hour."""
        replies = self._connection.execute([command("HGETALL", each.name) for each in hashes])
        fields = iter([_of(each, reply) for each, reply in zip(hashes, replies, strict=True)])
        for index, group in groupby(hashes, key=lambda each: each.index):
            of_hour = list(group)
            try:
                mergers[index].add(list(islice(fields, len(of_hour))))
            except UnsoundHashError as error:
                raise of_hour[error.index].unsound(error.fault) from error

    def _add_wide(self, each: _Hash, merger: Merger) -> None:
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
            merger.add_pages(pages)
        except UnsoundHashError as error:
            raise each.unsound(error.fault) from error

    def _ask(self, each: _Hash, *arguments: Argument) -> Reply:
        return _of(each, self._connection.execute([command(*arguments)])[0])


def _count_key_hours(newest: Mapping[str, int], hours: Sequence[Hour]) -> int:
    """Return how many of the hours keys have, up to the newest of each."""
    starts = [hour.digits for hour in hours]
    return sum(bisect_right(starts, digits) for digits in newest.values())


def _backlog_calls(partitions: Iterable[PartitionNames], hours: Iterable[Hour]) -> list[Call]:
    names = list(map(str, hours))
    return [
        call
        for each in partitions
        for call in (command("XLEN", each.stream), command("HMGET", each.backlog, *names))
    ]


def _are_drained(replies: Sequence[Reply | MetricsError]) -> list[bool]:
    """Return for each hour whether no partition has messages of it in its backlog."""
    found = list(map(done, replies))
    lengths, entries = found[::2], found[1::2]
    return [
        all(
            not length or not int(of_hour or 0)
            for length, of_hour in zip(lengths, in_hour, strict=True)
        )
        for in_hour in zip(*entries, strict=True)
    ]


def _length_calls(hashes: Iterable[_Hash]) -> list[Call]:
    return [command("HLEN", each.name) for each in hashes]


def _sized(
    hashes: Sequence[_Hash], replies: Sequence[Reply | MetricsError]
) -> list[tuple[_Hash, int]]:
    """Return hashes, each with its number of fields.

    Raises:
        KeyHourUnsoundError: If one has more than a key-hour can.
    """
    sized = []
    for each, reply in zip(hashes, replies, strict=True):
        size = _of(each, reply)
        if size > FIELDS_PER_HASH_MAX:
            raise each.unsound(f"{size} fields are more than a key-hour can have")
        sized.append((each, size))
    return sized


def _fields_in(key: str, sized: Iterable[tuple[_Hash, int]]) -> int:
    """Return how many fields there are to read.

    Raises:
        InvalidQueryError: If they are too many.
    """
    fields = sum(size for _, size in sized)
    if fields > FIELDS_MAX:
        raise _too_much(key, f"{fields} fields of hashes", FIELDS_MAX)
    return fields


def _pieces(sized: Iterable[tuple[_Hash, int]]) -> Iterator[list[tuple[_Hash, int]]]:
    """Yield hashes that are read at once: about ``FIELDS_PER_REPLY`` fields, or one hash."""
    piece: list[tuple[_Hash, int]] = []
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


def _of(each: _Hash, reply: Reply | MetricsError) -> Reply:
    """Return what Redis replied about a hash.

    Raises:
        KeyHourUnsoundError: If it is something else than a hash.
        MetricsError: Whatever other error it had.
    """
    if isinstance(reply, StorageUnsoundError):
        raise each.unsound("it is no hash") from reply
    return done(reply)


def _too_much(key: str, touched: str, limit: int) -> InvalidQueryError:
    narrower = "a longer prefix" if key.endswith(WILDCARD) else "fewer hours"
    return InvalidQueryError(
        f"{key} touches {touched} and one question may touch {limit}: ask for {narrower}"
    )
