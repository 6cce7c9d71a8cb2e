"""New keys are paced: nobody holds others up, and no node that is away does."""

from api.collector.pace import HALVED_S, LOOK_S, Pace
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames
from tests.collector.test_key_limit import HOUR, limit_of, names
from tests.conftest import Clock
from tests.support.away import PartlyAway


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
