"""The sustained load looks at the system, judges and shows it, and runs."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from time import process_time, time

import pytest

from metrics.connection import Connection
from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.sustained import __main__ as bench
from ops.lab.bench.sustained.backlog_looks import Look, look_at
from ops.lab.bench.sustained.cores import Used, each_alone
from ops.lab.bench.sustained.load import Tick
from ops.lab.bench.sustained.meter import Reading, between
from ops.lab.bench.sustained.queries import Asked
from ops.lab.bench.sustained.repeated import Repeated
from ops.lab.bench.sustained.report import head, line, summary
from ops.lab.bench.sustained.span import Span, at
from ops.lab.bench.sustained.verdict import PartitionAudit, kept_up, where_stuck
from ops.lab.latencies import Latencies
from ops.local.waiting import wait_until
from tests.support.streams import append, batch

TOOK = Latencies(calls=100, p50=1_500_000, p99=2_500_000, p999=3_500_000, max=4_500_000_000)
SPAN = Span(
    seconds=10.0,
    due=1_000_000,
    sent=1_000_000,
    accepted=1_000_000,
    counted=990_000,
    waiting=10_000,
    depths=[3, 1, 2],
    oldest_s=[0.2, 0.0, 0.1],
    post=TOOK,
    query=None,
    shares={"collector 1": 0.5, "redis": 0.2},
    busy=0.4,
    cores=2,
    memory_bytes=2_000_000,
    errors=0,
)
BOOKS = PartitionAudit(sent=9, accepted=9, appended=9, counted=9, statuses={202: 3, 503: 1})


def test_what_goes_wrong_in_a_thread_is_told_to_who_asks_for_its_results() -> None:
    """An exception in the thread is raised where its results are asked for."""
    numbers = iter([1, 2])

    with Repeated(lambda: next(numbers), pause_s=0.0) as repeated, pytest.raises(StopIteration):
        wait_until(lambda: not repeated.found())


def test_a_look_at_the_backlog_has_depth_and_age_of_each_partition(connection: Connection) -> None:
    """A look at the backlog has each partition's depth and the age of its oldest entry."""
    assert append(connection, batch(partition=1), batch(partition=1)) == [None, None]
    assert append(connection, batch(partition=1)) == [None]

    look = look_at(connection, 3, now=lambda: time() + 5)

    assert look.entries == (0, 2, 0)
    assert (look.oldest_s[0], look.oldest_s[2]) == (0, 0)
    assert 4 < look.oldest_s[1] < 65


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
    """A process that computes has a share of a core between zero and 1.5."""
    before = Used.by({"this": os.getpid()})
    begun = process_time()
    while process_time() - begun < 0.1:
        pass
    after = Used.by({"this": os.getpid()})

    assert 0 < after.shares_since(before)["this"] < 1.5
    assert 0 < after.busy_since(before) <= 1


def test_what_happened_between_two_readings_is_their_difference() -> None:
    """A span is the difference of two readings, and failed queries are only errors in it."""
    tick = Tick(due=10, sent=8, accepted=6, statuses={202: 3}, broken=0, latencies=None)
    later = Tick(due=30, sent=26, accepted=20, statuses={202: 9, 503: 2}, broken=1, latencies=TOOK)
    looks = [Look((9, 9), (9.0, 9.0)), Look((1, 2), (0.1, 0.2))]
    asked = [Asked(1, 500), Asked(5, 200), Asked(7, 404), Asked(9, 503)]
    begin = Reading(tick, Used(0.0, {"redis": 1.0}, 10, 100), 5, 1000, looks[:1], asked[:1])
    end = Reading(later, Used(2.0, {"redis": 2.0}, 60, 200), 15, 3000, looks, asked)

    span = between(begin, end)

    assert (span.due, span.sent, span.accepted, span.counted, span.waiting) == (20, 18, 14, 10, 5)
    assert (span.depths, span.oldest_s) == ([3], [0.2])
    assert (span.seconds, span.shares, span.busy) == (2.0, {"redis": 0.5}, 0.5)
    assert (span.memory_bytes, span.post, span.errors) == (3000, TOOK, 4)
    assert span.query is not None
    assert (span.query.calls, span.query.max) == (2, 7)


def test_a_quantile_is_one_of_the_numbers() -> None:
    """A quantile is one of the given numbers, and 0 if there are none."""
    assert [at(share, [3, 1, 2]) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 2, 3, 3]
    assert at(0.5, []) == 0


def test_a_load_is_kept_up_with_if_all_is_sent_and_the_backlog_is_worked_off() -> None:
    """A load is kept up with if all is sent and the backlog does not grow."""
    assert kept_up(SPAN)
    assert not kept_up(replace(SPAN, sent=900_000))
    assert not kept_up(replace(SPAN, waiting=300_000))


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (SPAN, []),
        (replace(SPAN, sent=900_000), ["100,000 messages were not sent"]),
        (replace(SPAN, waiting=297_000), ["the backlog grows: 297,000 messages", "3.0 s"]),
        (replace(SPAN, shares={"a": 0.95, "b": 0.2}), ["a has 95% of a core"]),
        (replace(SPAN, busy=0.97), ["2 cores are 97% busy", "0.70 of them", "collector 1", "0.50"]),
    ],
    ids=["nowhere", "not sent", "backlog", "one process", "all cores"],
)
def test_where_a_load_is_stuck_is_told(span: Span, told: Sequence[str]) -> None:
    """The report says where a load is stuck, with the figure that shows it."""
    reasons = where_stuck(span)

    assert len(reasons) == bool(told)
    for words in told:
        assert words in reasons[0]


@pytest.mark.parametrize("name", ["sent", "accepted", "appended", "counted"])
def test_messages_lost_or_too_many_are_complained_of(name: str) -> None:
    """An audit complains of any count that differs from the others."""
    assert not BOOKS.complaints()

    (wrong,) = replace(BOOKS, **{name: 8}).complaints()  # type: ignore[arg-type]

    assert f"{name} 8" in wrong


def test_answers_that_none_may_get_are_complained_of() -> None:
    """An audit complains of unexpected answers, failed queries and silence, and not of a 503."""
    assert "{400: 2}" in replace(BOOKS, statuses={202: 1, 400: 2}).complaints()[0]
    assert replace(BOOKS, queries_failed=2).complaints() == ["2 queries failed"]
    assert PartitionAudit(0, 0, 0, 0, {}).complaints() == ["no message was counted"]


def test_a_line_has_a_cell_for_each_column() -> None:
    """A line has a cell for each column, with a dash where nothing was answered."""
    cells = line(20.0, SPAN).split("  ")

    shown = [cell for cell in cells if cell]
    assert len(shown) == len([cell for cell in head().split("  ") if cell])
    assert [cell.strip() for cell in shown[:4]] == ["20", "100,000", "100,000", "99,000"]
    assert "-" in [cell.strip() for cell in shown]
    assert shown[-1].strip() == "collector 1 0.50 redis 0.20"


def test_the_summary_has_all_that_was_asked_for() -> None:
    """The summary has rates, errors, backlog, latencies, costs and memory."""
    text = summary(SPAN, memory_begun_bytes=1_000_000, drain_s=0.5)

    for words in (
        *("sent 100,000 messages/s of 100,000 due", "0 errors", "drained in 0.50 s"),
        *("entries: p50 2, p99 3, max 3", "oldest: p50 100 ms, p99 200 ms, max 200 ms"),
        *("p50 1.5 ms, p99 2.5 ms, max 4.5 s of 100", "median: none was answered"),
        *("million messages: collector 1 5.00 redis 2.00; all together 7.00", "redis 0.20"),
        *("all 2 cores, by anybody: 40%", "1.0 MB before, 2.0 MB after"),
    ):
        assert words in text, words


def test_a_small_load_runs_and_all_of_it_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A small load runs on the Procfile's processes, and all its messages are counted."""
    options = ["--rate", "5000", "--minutes", "0.025", "--keys", "3", "--tick-seconds", "0.5"]

    status = bench.main([*options, "--collectors", "1"])

    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    counted = re.search(r"sent, accepted and counted: ([\d,]+) messages", printed.out)
    assert counted
    assert int(counted[1].replace(",", "")) > 0  # what is late for too long is left out
    assert printed.out.count("sender 0.") >= 3
    assert "kept up: " in printed.out


def test_a_message_that_is_not_counted_fails_the_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message that is not counted makes the load fail with status 1 and a complaint."""
    tick = Tick(due=9, sent=9, accepted=9, statuses={202: 3}, broken=0, latencies=TOOK)
    reading = Reading(tick, Used(1.0, {"redis": 1.0}, 10, 100), 9, 1000, [], [])
    later = replace(reading, used=replace(reading.used, at=2.0))
    found = bench.Found(reading, later, 0.0, replace(BOOKS, counted=8))
    monkeypatch.setattr(bench, "sustain", lambda *_: found)
    monkeypatch.setattr(Ours, "__enter__", lambda ours: ours)

    assert bench.main(["--rate", "1"]) == 1
    assert "FAILED: sent 9 messages, accepted 9, appended 9, counted 8" in capsys.readouterr().err
