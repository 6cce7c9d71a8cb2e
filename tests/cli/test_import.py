"""An import counts each message of a file once: killed, repeated, or with the file grown."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from metrics.cli import delivery
from metrics.cli.command_line import command_line
from metrics.cli.importing.command import JOURNAL
from ops.local.waiting import wait_until
from tests.support.fake_collector import NO_REPLY, FakeCollector, Request, fake_collector, refusing

LINES = 6000
"""Several chunks."""


@pytest.fixture
def fake(collector: FakeCollector) -> FakeCollector:
    """Return the collector, with nothing in it."""
    collector.requests.clear()
    collector.counted.clear()
    return collector


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with many messages, each with a value of its own."""
    path = tmp_path / "times.csv"
    path.write_text("key,value,timestamp\n" + "".join(map(line, range(LINES))))
    return path


def line(number: int) -> str:
    """Return a line of a CSV."""
    return f"checkout.web-{number % 3},{number},{1795788312 + number}\n"


def run(path: Path, fake: FakeCollector, *more: str, name: str = "csv") -> Result:
    """Import a file."""
    arguments = ["import", str(path), "--format", name, "--collector-url", fake.url, *more]
    return CliRunner().invoke(command_line, [*arguments, "--wait", "0"])


def values(fake: FakeCollector) -> Counter[float]:
    """Return how often each value counts."""
    return Counter(value for key in range(3) for value in fake.values(f"checkout.web-{key}"))


def assert_each_counts_once(fake: FakeCollector, lines: int = LINES) -> None:
    """Check that each message counts once, and that a repetition was the same to the last byte."""
    assert values(fake) == Counter(map(float, range(lines)))
    for request in fake.requests:
        assert request.raw == fake.counted[request.key].raw


def test_messages_keep_their_own_times(path: Path, fake: FakeCollector) -> None:
    """All messages of a file are sent, each with the time of its line."""
    result = run(path, fake)

    assert result.output == f"times.csv: {LINES} accepted\n"
    assert_each_counts_once(fake)
    assert len(fake.requests) > 2
    assert set(fake.hours("checkout.web-0")) == {
        (1795788312 + number) // 3600 for number in range(LINES)
    }


def test_a_second_import_sends_nothing(path: Path, fake: FakeCollector) -> None:
    """A file that was imported is not sent again, and the journal knows how much it was."""
    run(path, fake)
    sent = len(fake.requests)
    again = json.loads(run(path, fake, "--json").output)

    assert len(fake.requests) == sent
    assert again["accepted"] == 0
    assert again["bytes_before"] == path.stat().st_size


def test_without_its_journal_the_bodies_are_the_same(
    path: Path, fake: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy, or a file without its journal, is the same bodies under the same keys, whenever."""
    run(path, fake)
    monkeypatch.setattr("time.time", lambda: 2e9)
    (path.parent / JOURNAL).unlink()
    copy = path.rename(path.with_name("copy.csv"))
    run(copy, fake)

    assert len(fake.requests) == 2 * len(fake.counted)
    assert_each_counts_once(fake)


def test_a_file_that_has_grown_brings_what_is_new(path: Path, fake: FakeCollector) -> None:
    """Of a file that has grown, only the new lines are sent; also under another name."""
    run(path, fake)
    with path.open("a") as file:
        file.writelines(map(line, range(LINES, LINES + 10)))
    rotated = path.rename(path.with_name("times.csv.1"))

    assert json.loads(run(rotated, fake, "--json").output)["accepted"] == 10
    assert_each_counts_once(fake, LINES + 10)


def test_read_in_another_way_it_is_another_import(tmp_path: Path, fake: FakeCollector) -> None:
    """With another key the same file has other messages, under Idempotency-Keys of their own."""
    path = tmp_path / "access.log"
    path.write_text('[23/Nov/2026:14:05:12 +0000] "GET /" 0.123\n')
    for key in ("checkout.web-1", "checkout.web-2"):
        assert run(path, fake, "--key", key, name="nginx").exit_code == 0

    assert fake.values("checkout.web-1") == fake.values("checkout.web-2") == [123.0]


@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "unanswered"])
def test_a_killed_import_goes_on_where_it_was(
    path: Path, fake: FakeCollector, is_answered: bool
) -> None:
    """Killed while a chunk is on its way, stored or not, an import run again counts each once."""

    def stop_here(request: Request) -> tuple[int, dict[str, str], bytes]:
        fake.gate.clear()
        return fake.answer(request) if is_answered else NO_REPLY

    fake.script[:] = [fake.answer, stop_here]
    process = subprocess.Popen(
        [sys.executable, "-m", "metrics", "import", path, "--format", "csv"],
        env={**os.environ, "METRICS_COLLECTOR_URL": fake.url},
    )
    wait_until(
        lambda: len(fake.requests) >= (3 if is_answered else 2) or not fake.gate.is_set(), 60
    )
    process.send_signal(signal.SIGKILL)
    process.wait()
    fake.script.clear()
    fake.gate.set()

    assert run(path, fake).exit_code == 0
    assert_each_counts_once(fake)


def test_what_may_count_already_is_asked_about(path: Path, fake: FakeCollector) -> None:
    """A chunk that was sent too long ago to be sent again is asked about, and left out or sent."""
    # Twice, since a connection that was kept may have been closed for no reason.
    fake.script[:] = [fake.answer, *[lambda _: NO_REPLY] * 2]
    first = run(path, fake)
    counted = sum(values(fake).values())
    sent = len(fake.requests)
    assert first.exit_code == 2
    assert "not known" in first.output
    _age_journal(path, delivery.REPEAT_S + 1)

    asked = run(path, fake)

    assert asked.exit_code == 2
    assert "--unknown skip" in asked.output
    assert len(fake.requests) == sent
    left_out = json.loads(run(path, fake, "--unknown", "skip", "--json").output)
    (skipped,) = left_out["lines_skipped"].values()
    assert left_out["accepted"] + counted + skipped == LINES


def test_what_may_count_already_is_sent_if_somebody_says_so(
    path: Path, fake: FakeCollector
) -> None:
    """With --unknown send, such a chunk is sent once more, under the key that it had."""
    fake.script[:] = [lambda _: NO_REPLY]
    run(path, fake)
    _age_journal(path, delivery.REPEAT_S + 1)

    assert run(path, fake, "--unknown", "send").exit_code == 0
    assert_each_counts_once(fake)


def _age_journal(path: Path, seconds: float) -> None:
    """Let the journal be that much older."""
    journal = path.parent / JOURNAL
    text = journal.read_text()
    journal.write_text(
        re.sub(r'"at": ([\d.]+)', lambda found: f'"at": {float(found[1]) - seconds}', text)
    )


def test_what_was_not_sent_is_not_asked_about(path: Path, fake: FakeCollector) -> None:
    """A chunk that certainly reached no collector is sent later, without a question."""
    fake.script[:] = [refusing(503, stored="no", detail="the backlog is at its limit")]
    assert "not sent" in run(path, fake).output
    _age_journal(path, delivery.REPEAT_S + 1)

    assert run(path, fake).exit_code == 0
    assert_each_counts_once(fake)


def test_another_system_needs_another_journal(path: Path, fake: FakeCollector) -> None:
    """What was imported to one system is not taken for imported to another, nor counted twice."""
    run(path, fake)
    with fake_collector() as other:
        refused = run(path, other)
        assert refused.exit_code == 2
        assert "--journal" in refused.output
        assert run(path, other, "--journal", str(path.with_name("other"))).exit_code == 0

        assert_each_counts_once(other)


def test_bad_lines_are_counted_and_the_rest_is_sent(tmp_path: Path, fake: FakeCollector) -> None:
    """A line that breaks a rule is rejected, the others count; the exit status is 1."""
    path = tmp_path / "times.csv"
    path.write_text("checkout.web-0,1\nb c,2\n\ncheckout.web-0,-3\ncheckout.web-0,4")
    result = run(path, fake)

    assert result.exit_code == 1
    assert result.output.startswith("times.csv: 2 accepted; 2 rejected\n")
    assert "the first: key must be" in result.output
    assert fake.values("checkout.web-0") == [1.0, 4.0]


def test_what_a_collector_rejects_is_said(path: Path, fake: FakeCollector) -> None:
    """A chunk that a collector refuses for itself is rejected; the import goes on."""
    fake.script[:] = [refusing(400, title="Bad Request", detail="timestamp must lie between")]
    result = run(path, fake)

    assert result.exit_code == 1
    assert "timestamp must lie between" in result.output
    assert sum(values(fake).values()) > 0


def test_a_token_that_is_refused_stops_the_import(path: Path, fake: FakeCollector) -> None:
    """A 401 stops an import at once, and once the token is right it goes on."""
    fake.script[:] = [refusing(401, title="Unauthorized", detail="a token is missing")]
    refused = run(path, fake)

    assert refused.exit_code == 2
    assert "METRICS_TOKEN" in refused.output
    assert run(path, fake).exit_code == 0
    assert_each_counts_once(fake)


def test_a_compressed_file_is_read(path: Path, fake: FakeCollector) -> None:
    """A file that ends in .gz is read as what is in it."""
    packed = path.with_name("times.csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))

    assert run(packed, fake).exit_code == 0
    assert_each_counts_once(fake)


def test_half_a_compressed_file_is_refused_in_words(path: Path, fake: FakeCollector) -> None:
    """A compressed file without its end is named."""
    packed = path.with_name("times.csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes())[:-100])
    result = run(packed, fake)

    assert result.exit_code == 2
    assert "not a whole file of gzip" in result.output


def test_the_line_that_is_being_written_waits(tmp_path: Path, fake: FakeCollector) -> None:
    """The last line of a log that has no end yet is left for the next import."""
    path = tmp_path / "access.log"
    text = '[23/Nov/2026:14:05:12 +0000] "GET /" 0.123\n[23/Nov/2026:14:05:13 +0000] "GET /" 0.4'
    path.write_text(text)
    assert "left for the next time" in run(path, fake, "--key", "edge", name="nginx").output
    path.write_text(text + "56\n")
    run(path, fake, "--key", "edge", name="nginx")

    assert fake.values("edge") == [123.0, 456.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "nginx"), "needs --key"),
        (("--format", "csv", "--key", "a"), "names the key of each message"),
        (("--format", "haproxy", "--tz", "Mars/Olympus"), "Europe/Berlin"),
        (("--format", "router", "--key", "{backend}"), "{dyno}"),
        (("--format", "xml"), "csv"),
        ((), "--format"),
    ],
)
def test_bad_usage_is_said_before_anything_is_sent(
    path: Path, fake: FakeCollector, arguments: tuple[str, ...], said: str
) -> None:
    """An option that cannot be used ends with status 2, and leaves no journal."""
    command = ["import", str(path), *arguments, "--collector-url", fake.url]
    result = CliRunner().invoke(command_line, command)

    assert result.exit_code == 2
    assert said in result.output
    assert not (path.parent / JOURNAL).exists()
    assert fake.requests == []
