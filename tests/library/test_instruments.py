"""Counters and histograms that the processes of a service count in together."""

import os
from collections.abc import Iterable

import pytest
from prometheus_client.metrics_core import Metric

from metrics.backlog import Backlog
from metrics.connection import Connection, command
from metrics.instruments import Count, Histogram, RedisErrors
from metrics.shared_cells import CELLS, SharedCells


def samples(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Return the samples of families by name and values of labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def in_a_fork(act: object) -> None:
    """Do something in a process that is forked, and see it end well."""
    child = os.fork()
    if not child:
        try:
            act()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_histogram_counts_each_value_up_to_the_bounds_that_it_does_not_exceed() -> None:
    """A value counts in every bucket whose bound it does not exceed, and in +Inf."""
    histogram = Histogram(SharedCells(), "h", "Help.", bounds=(1, 10))
    for value in (0.5, 1, 1.5):
        histogram.observe(value)
    histogram.observe_all([10, 11])

    assert samples(histogram.collect()) == {
        ("h_bucket", "1.0"): 2,
        ("h_bucket", "10.0"): 4,
        ("h_bucket", "+Inf"): 5,
        ("h_count",): 5,
        ("h_sum",): 24.0,
    }


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes_that_come_and_go_count_together() -> None:
    """Each process counts in its row; the next goes on in that of one that ended, nothing lost."""
    cells = SharedCells(rows=2)

    def count() -> None:
        Count(cells, "requests", "Help.").add(2)

    rows = []
    for _ in range(3):
        rows.append(cells.take_row())
        in_a_fork(count)
        cells.give_back(rows[-1])
    in_use = [cells.take_row(), cells.take_row(), cells.take_row()]
    in_a_fork(count)

    assert rows == [0, 0, 0]
    assert in_use == [0, 1, 1]
    assert samples(Count(cells, "requests", "Help.").collect()) == {("requests_total",): 8}


def test_more_numbers_than_there_is_room_for_are_refused() -> None:
    """A series that has no room in the shared memory is refused when it is made."""
    cells = SharedCells()
    cells.allot(CELLS - 1)

    with pytest.raises(ValueError, match=f"{CELLS + 1} numbers are more than the {CELLS}"):
        Histogram(cells, "h", "Help.", bounds=())


def test_calls_that_failed_are_counted_and_a_group_that_is_not_there_yet_is_no_failure(
    connection: Connection,
) -> None:
    """Errors of Redis count by kind; the answers to a worker that makes its groups do not."""
    errors = RedisErrors(SharedCells(), "errors")
    connection.on_error = errors.count
    Backlog(connection, consumer="worker-1", retention_days=30).create_groups(range(4))
    before = samples(errors.collect())
    connection.execute([command("SET", "a", "1"), command("HGET", "a", "b"), command("NONE", "a")])

    assert set(before.values()) == {0}
    assert samples(errors.collect()) == {
        ("errors_total", "unavailable"): 0,
        ("errors_total", "unsound"): 1,
        ("errors_total", "unexpected"): 1,
    }
