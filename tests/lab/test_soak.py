"""A soak looks at the system, judges and shows it, and runs on one Redis and on a cluster."""

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from time import process_time, time

import pytest

from metrics.connection import Connection
from ops.lab.bench.soak import __main__ as bench
from ops.lab.bench.soak.measure import BacklogSample, Soaked, sample
from ops.lab.bench.soak.nodes import NodeWork, most_to_mean
from ops.lab.bench.soak.report import (
    line,
    nodes_table,
    spread,
    summary,
    where_full,
    where_stuck,
)
from ops.lab.cpu import CpuUse, each_alone
from ops.lab.load.plan import Plan, Tick
from ops.lab.quantiles import Quantiles
from tests.support.streams import append, batch

TOOK = Quantiles(100, p50=1_500_000, p99=2_500_000, p999=3_500_000, max=4_500_000_000)
NODES = [
    NodeWork(partitions=2, messages=900, commands=300, cpu_s=0.5, memory_bytes=1_500_000),
    NodeWork(partitions=2, messages=100, commands=100, cpu_s=0.1, memory_bytes=500_000),
]
SOAKED = Soaked(
    tick=Tick(due=1000, sent=1000, accepted=1000, statuses={202: 99, 503: 1}, took_ns=TOOK),
    queries=Tick(due=5, sent=5, accepted=4, statuses={200: 4, 404: 1}),
    samples=[
        BacklogSample((0, 4, 1, 0), (0.0, 0.4, 0.1, 0.0)),
        BacklogSample((2, 2, 0, 0), (0.2, 0.2, 0.0, 0.0)),
    ],
    seconds=10.0,
    drain_s=0.5,
    applied=990,
    shares={"collector 1": 0.5, "redis": 0.2},
    busy=0.4,
    nodes=NODES,
    appended=[10, 900, 50, 40],
    counted=1000,
    hot_partition=1,
)


def rows_of(table: str) -> dict[str, Sequence[str]]:
    """Return the cells of each row of the table of nodes, by its name."""
    return {row[:14].strip(): row[14:].split() for row in table.splitlines()}


def test_a_sample_of_the_backlog_has_depth_and_age_of_each_partition(
    connection: Connection,
) -> None:
    """A sample of the backlog has each partition's depth and the age of its oldest entry."""
    assert append(connection, batch(partition=1), batch(partition=1)) == [None, None]
    assert append(connection, batch(partition=1)) == [None]

    found = sample(connection, range(3), now=lambda: time() + 5)

    assert found.entries == (0, 2, 0)
    assert (found.oldest_s[0], found.oldest_s[2]) == (0, 0)
    assert 4 < found.oldest_s[1] < 65


def test_children_that_work_side_by_side_are_told_apart() -> None:
    """Children of a process are listed one by one; a process without children stands for itself."""
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as one,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other,
    ):
        found = each_alone({"this": os.getpid(), "one": one.pid})

    assert {one.pid, other.pid} <= set(found.values())
    assert found["one"] == one.pid
    assert found["this 1"] != found["this 2"]


def test_cores_are_shared_out_by_who_used_them() -> None:
    """A process that computes has its CPU seconds, and the machine is as busy at least."""
    before, begun = CpuUse.of({"this": os.getpid()}), process_time()
    while process_time() - begun < 0.1:
        pass
    after = CpuUse.of({"this": os.getpid()})

    assert after.seconds_since(before)["this"] > 0.05
    assert 0 < after.busy_since(before) <= 1
    assert after.others_since(before, own_s=1e9) == 0


def test_unevenness_is_the_greatest_by_the_mean() -> None:
    """Unevenness is the greatest by the mean; zeros are even."""
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

    assert work == NodeWork(3, 100, 30, 2.0, 1000)
    assert work.since(NodeWork(3, 60, 10, 0.5, 400)) == NodeWork(3, 40, 20, 1.5, 600)


@pytest.mark.parametrize(
    ("soaked", "told"),
    [
        (SOAKED, []),
        (replace(SOAKED, tick=replace(SOAKED.tick, sent=900)), ["100 messages were not sent"]),
        (replace(SOAKED, applied=700), ["the backlog grows: 300 messages", "4.3 s"]),
        (replace(SOAKED, shares={"a": 0.95, "b": 0.2}), ["a has 95% of a core"]),
        (replace(SOAKED, busy=0.97), ["the cores are 97% busy", "0.70 of", "collector 1", "0.50"]),
    ],
    ids=["nowhere", "not sent", "backlog", "one process", "all cores"],
)
def test_where_a_load_is_stuck_is_told(soaked: Soaked, told: Sequence[str]) -> None:
    """The report says where a load is stuck, with the figure that shows it."""
    reasons = [*where_stuck(soaked), *where_full(soaked)]

    assert len(reasons) == bool(told)
    for words in told:
        assert words in reasons[0]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(SOAKED, counted=999),
        replace(SOAKED, appended=[10, 900, 50, 41]),
        replace(SOAKED, tick=replace(SOAKED.tick, accepted=999)),
        replace(SOAKED, tick=replace(SOAKED.tick, sent=1001)),
    ],
    ids=["counted", "appended", "accepted", "sent"],
)
def test_messages_lost_or_too_many_are_complained_of(wrong: Soaked) -> None:
    """A load complains of any count that differs from the others."""
    assert not SOAKED.complaints()

    (complaint,) = wrong.complaints()
    assert complaint.startswith("sent 100")


def test_answers_that_none_may_get_are_complained_of() -> None:
    """A load complains of unexpected answers, failed queries and silence, and not of a 503."""
    refused = replace(SOAKED, tick=replace(SOAKED.tick, statuses={202: 1, 400: 2}))
    asked = replace(SOAKED, queries=replace(SOAKED.queries, statuses={500: 2}))
    silent = Tick(due=0, sent=0, accepted=0, statuses={})

    assert refused.complaints() == ["requests were answered with {400: 2}"]
    assert asked.complaints() == ["queries were answered with {500: 2}"]
    assert replace(SOAKED, tick=silent, appended=[0], counted=0).complaints() == [
        "no message was counted"
    ]


def test_a_line_is_of_what_happened_since_the_one_before() -> None:
    """A line has what was sent and accepted between two ticks, and how long POSTs took."""
    before = Tick(due=10, sent=8, accepted=6, statuses={202: 3})
    now = Tick(due=30, sent=26, accepted=20, statuses={202: 9, 503: 2}, broken=1, took_ns=TOOK)

    assert line(before, now) == (
        "sent 18, accepted 14, 3 errors; POST p50 1.5 ms, p99 2.5 ms, max 4.5 s"
    )
    assert line(before, replace(now, took_ns=None)).endswith("POST none")


def test_the_summary_has_all_that_was_asked_for() -> None:
    """The summary has rates, errors, backlog, latencies, costs and memory."""
    text = summary(SOAKED)

    for words in (
        *("sent 100 messages/s of 100 due", "1 errors", "drained in 0.50 s"),
        *("entries: p50 5, p99 5, max 5", "oldest: p50 400 ms, p99 400 ms, max 400 ms"),
        *("POST from when it was due: p50 1.5 ms, p99 2.5 ms, max 4.5 s", "median: none"),
        *("collector 1 5000.00 redis 2000.00; all together 7000.00", "redis 0.20"),
        *("by anybody: 40%", "2.0 MB more", "kept up: yes"),
    ):
        assert words in text, words


def test_the_spread_tells_the_hot_partition_and_the_busiest_node() -> None:
    """The hot partition is shown beside the others, and the rate that fills the busiest node."""
    text = spread(SOAKED)

    assert text.startswith("95 messages/s counted; the busiest node would fill a core at 2,000 ")
    assert "partition 1, of the first key, has 90.0% of the messages" in text
    assert "the others 1.0% to 5.0%" in text
    assert "its oldest entry: p50 400 ms" in text
    assert "of the others: p50 200 ms" in text


def test_the_table_has_each_nodes_share_of_everything() -> None:
    """The table has each node's share of everything, and how uneven the shares are."""
    rows = rows_of(nodes_table(NODES))

    assert rows["share of"] == ["partitions", "messages", "commands", "CPU", "memory"]
    assert rows["node 1"] == ["50.0%", "90.0%", "75.0%", "83.3%", "75.0%"]
    assert rows["node 2"] == ["50.0%", "10.0%", "25.0%", "16.7%", "25.0%"]
    assert rows["most to mean"] == ["1.00", "1.80", "1.50", "1.67", "1.50"]


@pytest.mark.parametrize("options", [["--masters", "0"], ["--hot-key", "1.5"], ["--hot-key", "x"]])
def test_options_that_make_no_sense_are_refused(
    options: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option ends the soak with an error that names it."""
    with pytest.raises(SystemExit):
        bench.main(options)

    assert options[0] in capsys.readouterr().err


def test_a_small_load_runs_and_all_of_it_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A small load runs on the Procfile's processes, and all its messages are counted."""
    options = ["--rate", "5000", "--minutes", "0.025", "--keys", "3", "--tick-seconds", "0.5"]

    status = bench.main([*options, "--collectors", "1"])

    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    counted = re.search(r"sent, accepted and counted: ([\d,]+) messages", printed.out)
    assert counted
    assert int(counted[1].replace(",", "")) > 0  # what is late for too long is left out
    assert printed.out.count("; POST p50 ") >= 1
    assert "sender 0." in printed.out
    assert "kept up: " in printed.out


def test_a_small_load_runs_on_a_cluster_of_two_masters(capsys: pytest.CaptureFixture[str]) -> None:
    """A small load on two masters is accounted for, and each master has a part of the work."""
    options = ["--rate", "inf", "--masters", "2", "--minutes", "0.01", "--keys", "32"]

    status = bench.main([*options, "--collectors", "1"])

    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    assert "sent, accepted and counted: " in printed.out
    rows = rows_of(printed.out)
    assert rows["node 1"][0] == rows["node 2"][0] == "50.0%"
    for cell in (*rows["node 1"][:4], *rows["node 2"][:4]):
        assert 0 < float(cell.rstrip("%")) < 100


def test_a_message_that_is_not_counted_fails_the_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message that is not counted fails both loads of a hot key, which differ in that alone."""
    plans: list[Plan] = []

    def soak(_: object, plan: Plan, *more: object) -> Soaked:
        plans.append(plan)
        return replace(SOAKED, counted=999)

    monkeypatch.setattr(bench, "soak", soak)
    system = type("System", (), {"collectors": [type("Service", (), {"port": 1})]})
    monkeypatch.setattr(bench, "_system", lambda *_: nullcontext(system))

    assert bench.main(["--masters", "1", "--hot-key", "0.9"]) == 1
    assert capsys.readouterr().err.count("FAILED: sent 1000 messages") == 2
    assert [plan.hot for plan in plans] == [None, 0.9]
    assert len({plan.messages_per_s for plan in plans}) == 1
    assert len({plan.app for plan in plans}) == 2
