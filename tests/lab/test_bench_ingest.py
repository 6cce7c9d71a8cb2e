"""The ingest benchmark sends bodies, judges and shows its results, and runs."""

import json
import os
import re
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ops.lab.bench.ingest import __main__ as bench
from ops.lab.bench.ingest import bodies, memory, workload, wrk
from ops.lab.bench.ingest.cpu import cpu_seconds
from ops.lab.bench.ingest.influxdb import influxdb
from ops.lab.bench.ingest.measure import Run
from ops.lab.bench.ingest.ours import Ours
from ops.lab.bench.ingest.paced import is_whole
from ops.lab.bench.ingest.plot import svg
from ops.lab.bench.ingest.table import ratio_to_best, table, throughputs
from ops.lab.bench.ingest.victoriametrics import victoriametrics
from ops.lab.bench.ingest.workload import BY_SIZE, COLUMNS, GOALS, ROWS, SINGLE, Workload
from ops.lab.bench.ingest.wrk import Load

FIGURES = {1: 3_000.0, 10: 30_000.0, 100: 200_000.0, 1000: 700_000.0, 10_000: 800_000.0}
OURS_ALONE = ["--systems", "metrics", "--rounds", "1"]
STAMPED = [
    (each, form)
    for each, form in (
        *((each, bodies.Form("lines", "", "", bodies.line_protocol)) for each in BY_SIZE),
        (ROWS, bodies.Form("json lines", "", "", bodies.import_lines)),
        (COLUMNS, bodies.Form("json columns", "", "", bodies.import_columns)),
    )
]


def run(system: str, each: Workload, requests: int, *, form: str = "form") -> Run:
    """Return a run of a second in which everything was counted."""
    messages = requests * each.batch
    load = Load(requests, 1.0, p50_us=1000, p99_us=2000, errors=0, cpu_s=0.5)
    return Run(system, each, form, load, 0.0, {"server": 1.0}, messages, messages)


def drawn(plot: str) -> ET.Element:
    """Return the elements of a plot."""
    return ET.fromstring(plot)


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
def test_no_two_messages_of_a_key_have_the_same_time_in_a_body(
    each: Workload, form: bodies.Form
) -> None:
    """The messages of a key in a body have different times of the same form."""
    times = times_of(each.bodies(form)[3])

    assert sum(times.values()) == each.batch
    assert set(times.values()) == {1}
    stamps = {time.split()[1] for time in times}
    assert {len(stamp) for stamp in stamps} == {bodies.STAMP_DIGITS}
    assert len({stamp.count(bodies.OPEN_DIGIT) for stamp in stamps}) == 1


def test_no_two_forms_of_a_system_share_a_key(tmp_path: Path) -> None:
    """Different forms of a system have different keys."""
    for system in (Ours(tmp_path, collectors=1), influxdb(tmp_path), victoriametrics(tmp_path)):
        keys = Counter(
            key
            for each in (*GOALS, *(size for size in BY_SIZE if size not in GOALS))
            for form in system.forms.get(each.shape, ())
            for key in each.keys(form)
        )

        assert set(keys.values()) == {1}, system.name


def test_files_are_numbered_as_the_script_of_wrk_reads_them(tmp_path: Path) -> None:
    """Bodies are written to numbered files in a new folder each time."""
    first, second = (workload.write_files(["a", "b"], tmp_path) for _ in range(2))

    assert first != second
    assert [(first / name).read_text() for name in ("0", "1")] == ["a", "b"]


def test_a_wrk_that_has_no_result_is_told_with_what_it_printed() -> None:
    """A wrk without a result raises an error that has what it printed."""
    with pytest.raises(ValueError, match="unable to connect"):
        Load.parse("unable to connect to 127.0.0.1", cpu_s=0.0)


def test_all_kinds_of_errors_of_wrk_are_errors() -> None:
    """Refused requests and broken connections of wrk both count as errors."""
    printed = 'RESULT {"requests":10,"us":2000000,"p50_us":1,"p99_us":2,"refused":3,"broken":4}\n'

    assert Load.parse(f"Running 1s test\n{printed}", cpu_s=0.1).errors == 7


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

    head, *lines = table(rounds, "metrics").splitlines()

    assert "to best peer" in head
    assert [line.split()[:4] for line in lines] == [
        ["rows", "A", "form", "30,000"],
        ["rows", "metrics", "form", "20,000"],
    ]
    assert lines[1].split()[4:10] == ["1.00", "(0.50-3.00)", "1.0", "2.0", "0.00", "0"]
    assert lines[1].endswith("server 50.00 wrk 25.00")
    assert throughputs(rounds) == {"metrics": {1000: 20_000.0}, "A": {1000: 30_000.0}}


def test_the_plot_is_an_svg_that_names_all_it_shows() -> None:
    """The plot names its title, machine, axes and systems, and each figure."""
    shown = {"metrics": FIGURES, "A & B": {size: 2 * rate for size, rate in FIGURES.items()}}

    root = drawn(svg(shown, "Throughput", "2026-11-24, 2 cores"))

    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert {"Throughput", "2026-11-24, 2 cores", "10,000", "messages per request"} <= set(texts)
    assert {"metrics 800 k/s", "A & B 1.6 M/s"} <= set(texts)
    assert "metrics: 700,000 messages/s, 1,000 per request" in titles
    assert len(titles) == 1 + 2 * len(FIGURES)


def test_names_in_the_plot_do_not_cover_each_other() -> None:
    """Names in the plot stand apart, even where the lines end at the same height."""
    root = drawn(svg(dict.fromkeys(("a", "b", "c"), FIGURES), "", ""))

    heights = sorted(
        float(text.attrib["y"])
        for text in root.iter("{http://www.w3.org/2000/svg}text")
        if text.attrib.get("class") == "name"
    )
    assert len(heights) == 3
    assert all(below - above >= 15 for above, below in pairwise(heights))


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Le", False),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{", False),
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_an_answer_is_whole_when_its_body_is(answer: bytes, whole: bool) -> None:
    """An answer is whole when its head and the whole body are there."""
    assert is_whole(answer) is whole


def test_cpu_seconds_are_those_of_a_process_so_far() -> None:
    """The CPU seconds of a process are at least those that it measures itself."""
    assert cpu_seconds({"this": os.getpid()})["this"] >= time.process_time() - 0.1


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


@pytest.mark.skipif(not wrk.is_installed(), reason="needs wrk: on Debian, apt install wrk")
def test_a_message_that_is_not_counted_fails_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message that is not counted makes the benchmark fail with status 1 and a complaint."""
    monkeypatch.setattr(bench, "GOALS", (SINGLE,))
    counted = Ours.counted
    monkeypatch.setattr(Ours, "counted", lambda *of, **more: counted(*of, **more) - 1)

    assert bench.main([*OURS_ALONE, "--seconds", "1", "--parts", "throughput"]) == 1
    assert "FAILED: metrics, single as JSON object: accepted" in capsys.readouterr().err


def test_who_has_no_wrk_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without wrk the benchmark ends with status 2 and says how to install it."""
    monkeypatch.setenv("PATH", "")

    assert bench.main(["--quick"]) == 2
    assert "apt install wrk" in capsys.readouterr().err
