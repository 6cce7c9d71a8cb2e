"""New keys are paced: nobody holds others up, and no node that is away does."""

from collections.abc import Callable, Sequence

import pytest

from api.collector import key_limit
from api.collector.asked_keys import Asked
from api.collector.key_counts import NONE_REFUSED
from api.collector.key_limit import KeyLimit, TooManyAtOnceError
from api.collector.pace import HALVED_S, LOOK_S, Pace
from metrics.connection import Call, Connection, command
from metrics.keyspace import PartitionNames, partition_of
from metrics.node import Reply
from tests.collector.test_key_limit import HOUR, PARTITIONS, limit_of, names
from tests.conftest import Clock
from tests.support.away import PartlyAway

ROUND_S = 0.006
"""How long a round takes here: longer than it takes until one more key has room."""

_FIXED = 10
"""Words of a call before those of each key, which has two."""


class Slow(PartlyAway):
    """Takes its time by the clock of a test, and counts what is asked."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        super().__init__(connection)
        self._clock = clock
        self.rounds = self.keys = 0

    def execute(self, calls: Sequence[Call], *, replicas: int = 0) -> list[Reply]:
        """Ask all partitions once."""
        self._clock.seconds += ROUND_S
        self.rounds += 1
        self.keys += sum((len(call.arguments) - _FIXED) // 2 for call in calls)
        return super().execute(calls, replicas=replicas)


def paced(connection: Connection, clock: Clock, sleep: Callable[[float], None]) -> KeyLimit:
    """Return a limit that lets 200 keys in each second, and has none saved up."""
    pace = Pace(200, 200, now=clock)
    pace.took(pace.room())
    limit = limit_of(connection, 200_000, pace=pace)
    limit._monotonic, limit._sleep = clock, sleep
    return limit


def passing(clock: Clock) -> Callable[[float], None]:
    """Return a sleep that moves a clock."""

    def sleep(seconds: float) -> None:
        clock.seconds += seconds

    return sleep


def test_who_asks_for_many_keys_has_the_turn_for_two_rounds_at_most(
    connection: Connection, clock: Clock
) -> None:
    """Others have their turn after each few that are let in, however slow rounds are."""
    slow = Slow(connection, clock)
    limit = paced(slow, clock, passing(clock))
    asked = Asked(names(300))

    limit._ask(asked)
    first = slow.rounds
    clock.seconds += key_limit.PAUSE_S
    limit._ask(asked)

    assert (first, slow.rounds) == (1, 2)
    assert 280 <= len(asked.keys) < 300


def test_who_waits_asks_for_as_many_as_have_room(
    connection: Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is asked once for all keys, then for those that have room, and not for ever."""
    monkeypatch.setattr(key_limit, "WAIT_S", 1.0)
    slow = Slow(connection, clock)
    limit = paced(slow, clock, passing(clock))
    many = names(600)

    with pytest.raises(TooManyAtOnceError):
        limit.let_in(many)

    let_in = sum(not limit.is_unknown(key) for key in many)
    assert 180 <= let_in <= 220
    assert slow.keys == len(many) + let_in
    assert slow.rounds <= 1 + 1.0 / key_limit.PAUSE_S
    assert clock.seconds <= 1.0 + key_limit.PAUSE_S + 2 * ROUND_S


def test_a_single_key_does_not_wait_for_those_of_a_large_request(
    connection: Connection, clock: Clock
) -> None:
    """Beside a sender of very many a new key is let in after a pause or two."""
    waited: list[float] = []
    pause = passing(clock)

    def sleep(seconds: float) -> None:
        pause(seconds)
        limit._sleep = pause
        began = clock.seconds
        assert limit.let_in(names(1, f"small-{len(waited)}")) == NONE_REFUSED
        waited.append(clock.seconds - began)
        limit._sleep = sleep

    limit = paced(Slow(connection, clock), clock, sleep)

    assert limit.let_in(names(100)) == NONE_REFUSED
    assert len(waited) >= 5
    assert max(waited) <= 2 * key_limit.PAUSE_S + 4 * ROUND_S


def test_small_requests_have_what_room_there_is_first(connection: Connection, clock: Clock) -> None:
    """What the pace allows is for the smallest of those that wait, whatever its partition."""
    limit = paced(connection, clock, passing(clock))
    last = next(k for k in names(100, "small") if partition_of(k, PARTITIONS) == PARTITIONS - 1)
    large, small = Asked(names(300)), Asked({last: HOUR})
    limit._waiting.extend((large, small))
    clock.seconds += key_limit.PAUSE_S

    limit._answer(limit._next_round())

    assert (len(small.keys), len(large.keys)) == (0, 291)


def test_keys_whose_partition_goes_away_meanwhile_wait_no_longer(
    connection: Connection, clock: Clock
) -> None:
    """Where Redis does not answer any longer keys are let in, and their append says the rest."""
    pauses: list[float] = []
    pause = passing(clock)

    def sleep(seconds: float) -> None:
        pause(seconds)
        pauses.append(seconds)
        slow.away.update(range(PARTITIONS))

    slow = Slow(connection, clock)
    limit = paced(slow, clock, sleep)

    assert limit.let_in(names(600)) == NONE_REFUSED
    assert len(pauses) <= 2


def test_a_small_limit_needs_no_pauses(connection: Connection, clock: Clock) -> None:
    """Where the pace has room keys are let in at once, few at a time, with others in between."""
    pauses: list[float] = []
    limit = limit_of(connection, 1_000, pace=Pace(1_000, 1_000, now=clock))
    limit._sleep = pauses.append

    assert limit.let_in(names(20)) == NONE_REFUSED
    assert pauses == [0.0] * 3


def test_a_partition_that_is_away_slows_no_keys_of_others(
    connection: Connection, clock: Clock
) -> None:
    """How old the backlog was before a node was away is not known to be so from then on."""
    pace = Pace(1_000, 1_000, now=clock)
    partly = PartlyAway(connection)
    limit = limit_of(partly, 200_000, pace=pace)
    connection.ask(command("XADD", PartitionNames(1).stream, "1-1", f"{HOUR}:known", "1"))
    clock.seconds += HALVED_S
    limit._round(names(1), 0)
    behind = pace.per_second
    partly.away.add(1)

    for _ in range(int(2 / LOOK_S)):
        clock.seconds += LOOK_S
        limit._round(names(1), 0)

    assert (behind, pace.per_second) == (500, 1_000)
