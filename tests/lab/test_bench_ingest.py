"""The ingest benchmark sends bodies, judges and shows its results, and runs."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ops.lab.bench.ingest import __main__ as bench
from ops.lab.bench.ingest import memory, systems, wrk
from ops.lab.bench.ingest.databases import InfluxDB, VictoriaMetrics
from ops.lab.bench.ingest.measure import Run
from ops.lab.bench.ingest.systems import Ours
from ops.lab.bench.ingest.table import ratio_to_best, table, throughputs
from ops.lab.bench.ingest.workload import (
    BY_SIZE,
    COLUMNS,
    GOALS,
    OPEN_DIGIT,
    ROWS,
    SINGLE,
    STAMP_DIGITS,
    Form,
    Workload,
    import_columns,
    import_lines,
    line_protocol,
)
from ops.lab.bench.ingest.wrk import WrkResult

OURS_ALONE = ["--systems", "metrics", "--rounds", "1"]
STAMPED = [
    (each, form)
    for each, form in (
        *((each, Form("lines", "", "", line_protocol)) for each in BY_SIZE),
        (ROWS, Form("json lines", "", "", import_lines)),
        (COLUMNS, Form("json columns", "", "", import_columns)),
    )
]


def run(system: str, each: Workload, requests: int, *, form: str = "form") -> Run:
    """Return a run of a second in which everything was counted."""
    messages = requests * each.batch
    load = WrkResult(requests, 1.0, p50_us=1000, p99_us=2000, errors=0, cpu_s=0.5)
    return Run(system, each, form, load, 0.0, {"server": 1.0, "wrk": 0.5}, messages, messages)


def times_of(body: str) -> Counter[str]:
    """Return how often each key has each time in a body of a database, as ``key time``."""
    if not body.startswith("{"):
        found = re.findall(r"key=(\S+) value=\S+ (\S+)", body)
        return Counter(f"{key} {stamp}" for key, stamp in found)
    lines = re.findall(r'"key":"([^"]+)".*?"timestamps":\[(.*?)\]', body)
    return Counter(f"{key} {stamp}" for key, stamps in lines for stamp in stamps.split(","))


@pytest.mark.parametrize("each", [*BY_SIZE, COLUMNS], ids=lambda each: each.name)
def test_bodies_for_ours_are_json_of_as_many_messages_as_the_workload_says(each: Workload) -> None:
    """Bodies of a workload are all different, and have its number of messages and its keys."""
    (form,) = Ours.forms[each.shape]

    sent = each.bodies(form)

    assert len(set(sent)) == len(sent)
    decoded = json.loads(sent[3])
    rows = decoded if isinstance(decoded, list) else [decoded]
    assert sum(len(row.get("values", [0])) for row in rows) == each.batch
    assert {row["key"] for row in rows} <= set(each.keys(form))


@pytest.mark.parametrize(
    ("each", "form"), STAMPED, ids=[f"{each.name} {form.name}" for each, form in STAMPED]
)
def test_no_two_messages_of_a_key_have_the_same_time_in_a_body(each: Workload, form: Form) -> None:
    """The messages of a key in a body have different times of the same form."""
    times = times_of(each.bodies(form)[3])

    assert sum(times.values()) == each.batch
    assert set(times.values()) == {1}
    stamps = {time.split()[1] for time in times}
    assert {len(stamp) for stamp in stamps} == {STAMP_DIGITS}
    assert len({stamp.count(OPEN_DIGIT) for stamp in stamps}) == 1


def test_no_two_forms_of_a_system_share_a_key(tmp_path: Path) -> None:
    """Different forms of a system have different keys."""
    for forms in (Ours.forms, InfluxDB(tmp_path).forms, VictoriaMetrics(tmp_path).forms):
        keys = Counter(
            key
            for each in dict.fromkeys((*GOALS, *BY_SIZE))
            for form in forms.get(each.shape, ())
            for key in each.keys(form)
        )

        assert set(keys.values()) == {1}


def test_a_wrk_that_has_no_result_is_told_with_what_it_printed() -> None:
    """A wrk without a result raises an error that has what it printed."""
    with pytest.raises(ValueError, match="unable to connect"):
        WrkResult.parse("unable to connect to 127.0.0.1", cpu_s=0.0)


def test_all_kinds_of_errors_of_wrk_are_errors() -> None:
    """Refused requests and broken connections of wrk both count as errors."""
    printed = 'RESULT {"requests":10,"us":2000000,"p50_us":1,"p99_us":2,"refused":3,"broken":4}\n'

    assert WrkResult.parse(f"Running 1s test\n{printed}", cpu_s=0.1).errors == 7


@pytest.mark.parametrize("difference", [-1, 16_001])
def test_messages_lost_and_messages_too_many_are_complained_of(difference: int) -> None:
    """A run complains of lost messages, and of more than those under way when wrk stopped."""
    good = run("metrics", ROWS, 100)
    counted = good.counted + difference

    wrong = replace(good, counted=counted, accepted=counted).complaints()

    assert wrong == [f"metrics, rows as form: answered 100000 messages, counted {counted}"]
    under_way = good.counted + 16_000
    assert not replace(good, counted=under_way, accepted=under_way).complaints()


def test_accepted_and_not_counted_is_complained_of() -> None:
    """A run complains of messages that were accepted and not counted."""
    good = run("metrics", ROWS, 100)

    wrong = replace(good, accepted=good.counted + 1000).complaints()

    assert wrong == ["metrics, rows as form: accepted 101000 messages, counted 100000"]


def test_errors_and_silence_are_complained_of() -> None:
    """A run complains of errors, and of no answers at all."""
    good = run("metrics", SINGLE, 100)

    assert replace(good, load=replace(good.load, errors=2)).complaints() == [
        "metrics, single as form: 2 errors"
    ]
    assert run("metrics", SINGLE, 0).complaints() == [
        "metrics, single as form: no request was answered"
    ]


def test_messages_per_second_are_told_by_the_time_until_all_are_counted() -> None:
    """The rate of a run includes the time until all its messages are counted."""
    assert replace(run("metrics", ROWS, 100), drain_s=1.0).messages_per_s == 50_000


def test_the_ratio_is_to_the_best_form_of_the_best_peer() -> None:
    """The ratio of a round is to the best form of the best peer, and None without a peer."""
    runs = [
        run("metrics", ROWS, 30),
        run("A", ROWS, 20),
        run("B", ROWS, 60, form="better"),
        run("B", ROWS, 50),
        run("A", SINGLE, 900),
    ]

    assert ratio_to_best(runs, "rows", "metrics") == 0.5
    assert ratio_to_best(runs, "single", "metrics") is None
    assert ratio_to_best(runs[:1], "rows", "metrics") is None


def test_the_table_has_each_run_with_the_medians_of_its_rounds() -> None:
    """The table has the medians of the rounds, and the median and the range of the ratios."""
    rounds = [
        [run("metrics", ROWS, ours), run("A", ROWS, peer)]
        for ours, peer in ((20, 40), (10, 10), (90, 30))
    ]

    head, _, *lines = table(rounds, "metrics").splitlines()

    assert "to best other" in head
    assert [line.split()[:4] for line in lines] == [
        ["rows", "A", "form", "30,000"],
        ["rows", "metrics", "form", "20,000"],
    ]
    assert lines[1].split()[4:10] == ["1.00", "(0.50-3.00)", "1.0", "2.0", "0.00", "0"]
    assert lines[1].endswith("server 50.00 wrk 25.00")
    assert throughputs(rounds) == {"metrics": {1000: 20_000.0}, "A": {1000: 30_000.0}}


@pytest.mark.skipif(not wrk.is_installed(), reason="needs wrk: on Debian, apt install wrk")
def test_the_benchmark_runs_and_accounts_for_all_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The benchmark of the project's system runs and accounts for all messages."""
    monkeypatch.setattr(memory, "GOALS", (ROWS,))

    status = bench.main([*OURS_ALONE, "--seconds", "1", "--parts", "throughput", "memory"])

    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    for each in ("rows", "columns", "single"):
        assert f"\n{each}" in printed.out
    assert "a message of the backlog, sent as rows" in printed.out
    assert "all messages accounted for" in printed.out


def test_a_message_that_is_not_counted_fails_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message that is not counted makes the benchmark fail with status 1 and a complaint."""
    good = run("metrics", SINGLE, 100)
    monkeypatch.setattr(wrk, "is_installed", lambda: True)
    monkeypatch.setattr(bench, "_round", lambda *_: [replace(good, counted=good.counted - 1)])

    assert bench.main([*OURS_ALONE, "--parts", "throughput"]) == 1
    assert "FAILED: metrics, single as form: accepted" in capsys.readouterr().err


def test_who_has_no_wrk_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without wrk the benchmark ends with status 2 and says how to install it."""
    monkeypatch.setenv("PATH", "")

    assert bench.main(["--quick"]) == 2
    assert "apt install wrk" in capsys.readouterr().err


def test_other_http_servers_serve_the_same_collector(tmp_path: Path) -> None:
    """On another HTTP server the collector is started by another command, and is named for it."""
    redis = type("Redis", (), {"url": "redis://127.0.0.1:1"})()

    ours, theirs = (
        Ours(redis, tmp_path, collectors=2, server=server) for server in ("", "gevent_pywsgi")
    )

    assert (ours.name, theirs.name) == ("metrics", "metrics on gevent_pywsgi")
    assert set(systems.SERVERS) < set(systems.choices(1))
    for system in (ours, theirs):
        system.close()
