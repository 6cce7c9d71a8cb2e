"""The benchmark of the spread shows each master's part of the work, also with a hot key."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ops.lab.bench.spread import __main__ as bench
from ops.lab.bench.spread.measure import Measured
from ops.lab.bench.spread.node_work import NodeWork, most_to_mean, shares
from ops.lab.bench.spread.report import nodes_table, partitions_told, throughput
from ops.lab.bench.sustained.backlog_looks import Look
from ops.lab.bench.sustained.load import Plan, Tick

NODES = [
    NodeWork(partitions=2, commands=300, cpu_s=0.5, memory_bytes=100, messages=900),
    NodeWork(partitions=2, commands=100, cpu_s=0.1, memory_bytes=100, messages=100),
]
MEASURED = Measured(
    plan=Plan(port=0, form="client", app="hot", keys=10, batch=10, seconds=1.0),
    tick=Tick(due=1000, sent=1000, accepted=1000, statuses={202: 100}, broken=0, latencies=None),
    seconds=2.0,
    nodes=NODES,
    messages=[10, 900, 50, 40],
    applied=1000,
    looks=[
        Look((0, 4, 1, 0), (0.0, 0.4, 0.1, 0.0)),
        Look((2, 2, 0, 0), (0.2, 0.2, 0.0, 0.0)),
    ],
    hot_partition=1,
)


def rows_of(table: str) -> dict[str, Sequence[str]]:
    """Return the cells of each row of the table of nodes, by its name."""
    return {row[:14].strip(): row[14:].split() for row in table.splitlines()}


def test_shares_are_of_the_sum_and_uneven_is_the_greatest_by_the_mean() -> None:
    """Shares are of the sum, and unevenness is the greatest by the mean; zeros are even."""
    assert shares([1, 3]) == [0.25, 0.75]
    assert shares([0, 0]) == [0, 0]
    assert most_to_mean([1, 3]) == 1.5
    assert most_to_mean([2, 2, 2]) == most_to_mean([0, 0]) == most_to_mean([7]) == 1


def test_what_a_node_did_is_read_from_its_info() -> None:
    """The work of a node is read from its INFO, and that of an interval is the difference."""
    info = {
        "cmdstat_evalsha": {"calls": 10, "usec": 5},
        "cmdstat_xadd": {"calls": 20, "usec": 5},
        "used_cpu_user": 1.5,
        "used_cpu_sys": 0.5,
        "used_memory": 1000,
    }

    work = NodeWork.of(info, partitions=3, messages=100)

    assert work == NodeWork(3, 30, 2.0, 1000, 100)
    assert work.since(NodeWork(3, 10, 0.5, 400, 60)) == NodeWork(3, 20, 1.5, 600, 40)


def test_the_table_has_each_nodes_share_of_everything() -> None:
    """The table has each node's share of everything, and how uneven the shares are."""
    rows = rows_of(nodes_table(NODES))

    assert rows["share of"] == ["partitions", "messages", "commands", "CPU", "memory"]
    assert rows["node 1"] == ["50.0%", "90.0%", "75.0%", "83.3%", "50.0%"]
    assert rows["node 2"] == ["50.0%", "10.0%", "25.0%", "16.7%", "50.0%"]
    assert rows["most to mean"] == ["1.00", "1.80", "1.50", "1.67", "1.00"]


def test_the_hot_partition_is_told_apart_from_the_others() -> None:
    """The hot partition's share and backlog are shown beside those of the others."""
    text = partitions_told(MEASURED)

    assert "partition 1, of the first key, has 90.0% of the messages" in text
    assert "the others 1.0% to 5.0%" in text
    assert "its backlog: p50 4, p99 4, max 4 entries, oldest p50 400 ms" in text
    assert "the others': p50 2, p99 2, max 2 entries, oldest p50 200 ms" in text


def test_the_rate_that_fills_the_busiest_node_is_told() -> None:
    """The report gives the rate at which the busiest node would fill a core."""
    text = throughput(MEASURED)

    assert text.startswith("500 messages/s counted")
    assert "all nodes together 0.30 of a core" in text
    assert "the busiest would fill one at 2,000 messages/s" in text


def test_messages_lost_or_too_many_are_complained_of() -> None:
    """A load complains of any count that differs from the others, and of failed requests."""
    assert not MEASURED.complaints()

    for wrong in (
        replace(MEASURED, applied=999),
        replace(MEASURED, messages=[10, 900, 50, 41]),
        replace(MEASURED, tick=replace(MEASURED.tick, accepted=999)),
    ):
        (complaint,) = wrong.complaints()
        assert complaint.startswith("hot: sent 1000 messages, accepted ")
    failed = replace(MEASURED, tick=replace(MEASURED.tick, statuses={202: 100, 503: 3}))
    assert "503: 3" in failed.complaints()[0]


@pytest.mark.parametrize("options", [["--masters", "0"], ["--hot-key", "1.5"], ["--hot-key", "x"]])
def test_options_that_make_no_sense_are_refused(
    options: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option ends the benchmark with an error that names it."""
    with pytest.raises(SystemExit):
        bench.main(options)

    assert options[0] in capsys.readouterr().err


def test_a_small_load_runs_on_a_cluster_of_two_masters(capsys: pytest.CaptureFixture[str]) -> None:
    """A small load on two masters is accounted for, and each master has a part of the work."""
    status = bench.main(["--masters", "2", "--seconds", "0.5", "--keys", "32", "--collectors", "1"])

    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    assert "all messages accounted for" in printed.out
    rows = rows_of(printed.out)
    assert rows["node 1"][0] == rows["node 2"][0] == "50.0%"
    for cell in (*rows["node 1"], *rows["node 2"]):
        assert 0 < float(cell.rstrip("%")) < 100


def test_a_message_that_is_not_counted_fails_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message that is not counted makes each of the four loads of a hot key fail."""
    plans: list[Plan] = []

    def measure(_: object, plan: Plan) -> Measured:
        plans.append(plan)
        return replace(MEASURED, plan=plan, applied=999)

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(bench.System, "__enter__", lambda system: system)

    assert bench.main(["--masters", "1", "--hot-key", "0.9"]) == 1
    assert capsys.readouterr().err.count("FAILED") == 4
    assert [plan.hot for plan in plans] == [None, 0.9, None, 0.9]
    assert len({plan.messages_per_s for plan in plans[2:]}) == 1
    assert len({plan.app for plan in plans}) == 4
