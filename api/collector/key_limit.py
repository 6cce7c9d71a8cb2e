"""How many keys may have messages: known ones go on whatever comes, new ones while there is room.

A key that is let in stands among the keys of its partition from then on, as a commit would put it
there; so it counts before its first messages are committed, however long that takes. If they are
never appended it counts until their hour leaves the retention.

A process remembers keys that it has seen there, and a message of one of these costs a look into a
set. All others that wait at the same time are asked for together. New ones are let in a few at a
time, each time after all partitions were counted anew: several processes at once pass the limit by
no more than those few each.

A first commit is more work than others are. So new keys are paced, too, as workers keep up: a
sender of very many waits, and messages of others are counted meanwhile. Who waits holds nobody up:
others have their turn after each few, and Redis is asked once there is room for some.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import Protocol, Self

from api.collector.asked_keys import Asked
from api.collector.key_counts import NONE_REFUSED, KeyCounts, KeysMax, Refusal
from api.collector.pace import Pace
from metrics.connection import Connection, done
from metrics.errors import MetricsError, OverloadedError
from metrics.hours import Hour
from metrics.layout import Layout
from metrics.settings import Settings
from metrics.throttled_log import ThrottledLog

ROUND_KEYS_MAX = 1_000
"""How many keys are asked for at once: Redis takes a millisecond or two for them."""

WAIT_S, PAUSE_S = 4.0, 0.05
"""How long a request waits for its new keys to be let in, and how long between two tries."""

REMEMBERED_S = 600.0
"""After so long a process asks again for the keys it knows: they may have left the retention."""

RETRY_SOON_S = 1
"""When new keys may be sent again that came too fast."""

_NO_ROOM, _LET_IN_NOW = 0, 2
_SECONDS_PER_DAY = 86_400


class TooManyAtOnceError(OverloadedError):
    """New keys come faster than the pace: those that were let in are known when they come again.

    Attributes:
        refusal: Those that were not, for who goes on without them.
    """

    def __init__(self, message: str, refusal: Refusal = NONE_REFUSED) -> None:
        super().__init__(message)
        self.refusal = refusal


class Keys(Protocol):
    """Knows keys, and lets new ones in."""

    def is_unknown(self, key: str) -> bool:
        """Return whether Redis has to be asked for a key."""

    def let_in(self, keys: Mapping[str, Hour]) -> Refusal:
        """Let in those of some unknown keys that are new, as far as there is room.

        Args:
            keys: Each with the hour of one of its messages.

        Raises:
            TooManyAtOnceError: If that takes too long.
        """


class KeyLimit:
    """Keeps the number of keys below a limit. Safe for threads and greenlets.

    Args:
        connection: The way to Redis.
        ensure_layout: Raises an error if Redis is not what this process expects.
        partitions: How many there are.
        keys_max: How many keys there may be.
        retention_days: How long a key without messages counts.
        pace: How fast this process lets new ones in.
        now: The clock, in Unix seconds.
        monotonic: The clock of what is remembered, in seconds.
        sleep: Lets others go on for some seconds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        ensure_layout: Callable[[], None],
        partitions: int,
        keys_max: KeysMax,
        retention_days: int,
        pace: Pace | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.keys_max = keys_max
        self._connection = connection
        self._ensure_layout = ensure_layout
        self._pace = pace or Pace(now=monotonic)
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._known: set[str] = set()
        self._known_until = monotonic() + REMEMBERED_S
        self._counts = KeyCounts(
            keys_max, partitions=partitions, retention_s=retention_days * _SECONDS_PER_DAY
        )
        self._waiting: deque[Asked] = deque()
        self._asking = Lock()
        self._log = ThrottledLog(logging.getLogger(__name__), monotonic=monotonic)

    @classmethod
    def of(
        cls,
        connection: Connection,
        settings: Settings,
        layout: Layout,
        *,
        now: Callable[[], float] = time.time,
    ) -> Self:
        """Return the limit of a process with these settings."""
        return cls(
            connection,
            ensure_layout=layout.ensure,
            partitions=settings.partitions,
            keys_max=KeysMax(settings.keys_max, settings.new_keys_per_hour),
            retention_days=settings.retention_days,
            now=now,
        )

    def is_unknown(self, key: str) -> bool:
        """Return whether Redis has to be asked for a key."""
        return key not in self._known

    def count(self) -> tuple[int, int]:
        """Return how many keys there are and how many are new in this hour, as Redis says now.

        Raises:
            MetricsError: If a partition does not say.
        """
        calls = self._counts.calls({}, {}, 0, self._now())
        replies = [done(reply) for reply in self._connection.execute(calls)]
        return sum(reply[0] for reply in replies), sum(reply[1] for reply in replies)

    def let_in(self, keys: Mapping[str, Hour]) -> Refusal:
        """Let in those of some unknown keys that are new, as far as there is room.

        Those of a partition that does not answer are let in: nothing can be appended there either.

        Args:
            keys: Each with the hour of one of its messages.

        Raises:
            TooManyAtOnceError: If that takes too long.
        """
        unknown = iter(keys.items())
        deadline = self._monotonic() + WAIT_S
        refused: dict[str, Hour] = {}
        while piece := dict(islice(unknown, ROUND_KEYS_MAX)):
            self._check(deadline, keys)
            asked = Asked(piece)
            while self._ask(asked) and not self._counts.is_full:
                self._check(deadline, keys)
                # Others have their turn in any case.
                self._sleep(0.0 if self._room(len(asked.keys)) else PAUSE_S)
            refused |= asked.keys
        return self._counts.refusal(refused, self._now()) if refused else NONE_REFUSED

    def _check(self, deadline: float, keys: Mapping[str, Hour]) -> None:
        # Where nothing more has room, nobody waits for it.
        if self._monotonic() >= deadline and not self._counts.is_full:
            left = frozenset(key for key in keys if key not in self._known)
            raise TooManyAtOnceError(
                "too many new keys come at once; send it again later",
                Refusal(left, "is new, and too many new keys come at once", RETRY_SOON_S),
            )

    def _ask(self, asked: Asked) -> bool:
        """Ask Redis for keys; return whether some have no room now."""
        asked.is_answered = False
        self._waiting.append(asked)
        while not asked.is_answered:
            # Whoever comes first asks for others that came meanwhile.
            with self._asking:
                if not asked.is_answered:
                    self._answer(self._next_round())
        return bool(asked.keys)

    def _next_round(self) -> Sequence[Asked]:
        """Take those that wait, up to so many keys; small ones first, which nobody holds up."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        waiting.sort(key=lambda each: len(each.keys))
        taken: list[Asked] = []
        length = 0
        for each in waiting:
            length += len(each.keys)
            if taken and length > ROUND_KEYS_MAX:
                self._waiting.append(each)
            else:
                taken.append(each)
        return taken

    def _answer(self, asked: Sequence[Asked]) -> None:
        if self._monotonic() > self._known_until or len(self._known) > 2 * self.keys_max.keys:
            self._known.clear()
            self._known_until = self._monotonic() + REMEMBERED_S
        left = {
            key: hour for each in asked for key, hour in each.keys.items() if key not in self._known
        }
        are_new = True
        try:
            self._ensure_layout()
            left = self._look(asked, left)
            if room := self._room(len(left)):
                left, are_new = self._let_some_in(left, room)
        except MetricsError:  # of the layout; an append raises the same
            left = {}
        finally:
            for each in asked:
                each.keys = {key: each.keys[key] for key in each.keys if key in left}
                each.is_answered, each.are_new = True, are_new

    def _look(self, asked: Sequence[Asked], left: dict[str, Hour]) -> dict[str, Hour]:
        """Ask for keys that nobody asked for so far; return those left that are new."""
        unasked = {
            k: hour
            for each in asked
            if not each.are_new
            for k, hour in each.keys.items()
            if k in left
        }
        if not unasked:
            return left
        _, new = self._round(unasked, 0)
        return {k: hour for k, hour in left.items() if k in new or k not in unasked}

    def _let_some_in(self, left: dict[str, Hour], room: int) -> tuple[dict[str, Hour], bool]:
        """Let new keys in, as many as have room; return those left, and if all are new for sure."""
        # In the order of their requests: the small ones are first.
        some = dict(islice(left.items(), room))
        let_in, without_room = self._round(some, room)
        self._pace.took(let_in)
        # Of a partition that does not answer others may be left, which need not wait.
        are_new = all(key in self._known or key in without_room for key in some)
        return {k: h for k, h in left.items() if k not in some or k in without_room}, are_new

    def _room(self, wanted: int) -> int:
        """Return how many new keys the next round may let in, of so many.

        It waits until the pace has room for all, or for some at least: a round for each single one
        would be more work than they are.
        """
        room = self._pace.room()
        if room < min(wanted, self._pace.per_second * PAUSE_S / 2):
            return 0
        return min(self._counts.room, room, wanted)

    def _round(self, keys: dict[str, Hour], room: int) -> tuple[int, dict[str, Hour]]:
        """Ask all partitions once; return how many keys were let in, and those with no room."""
        by_partition = self._counts.by_partition(keys)
        looks = self._pace.take_look()
        replies = self._connection.execute(
            self._counts.calls(keys, by_partition, room, self._now(), looks=looks)
        )
        let_in = 0
        left: dict[str, Hour] = {}
        for number, reply in enumerate(replies):
            if isinstance(reply, MetricsError):
                # Its keys are not remembered, and their append says what is the matter.
                self._warn(reply)
                self._counts.fail(number)
                continue
            results = self._counts.read(number, reply)
            let_in += results.count(_LET_IN_NOW)
            for key, result in zip(by_partition.get(number, ()), results, strict=True):
                if result == _NO_ROOM:
                    left[key] = keys[key]
                else:
                    self._known.add(key)
        if looks:
            self._pace.saw(self._counts.age_s)
        return let_in, left

    def _warn(self, error: MetricsError) -> None:
        self._log.log(str(error), "new keys are let in and not counted: %s", error)
