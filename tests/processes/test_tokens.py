"""Tokens are changed while a service runs: its processes read their file again on SIGHUP."""

import http.client
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from metrics.tokens import new_token
from ops.lab.service import Service
from ops.local.redis_server import EmbeddedRedis
from ops.local.run import main
from ops.local.waiting import wait_until

BODY = '{"key":"checkout.a","value":1}'
ALWAYS = "always-good-here"
PROCESSES = 2


class Sender(Thread):
    """Sends with one token over one connection until it is stopped, and notes each answer."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._stopped = Event()
        self.statuses: list[int | str] = []

    def run(self) -> None:
        """Send."""
        while not self._stopped.is_set():
            try:
                self.statuses.append(status_of(self._connection, ALWAYS))
            except (OSError, http.client.HTTPException) as error:
                self.statuses.append(repr(error))

    def close(self) -> None:
        """Send no more."""
        self._stopped.set()
        self.join()
        self._connection.close()


def status_of(connection: http.client.HTTPConnection, token: str) -> int:
    """Return the status of a message that is sent with a token."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request("POST", "/messages", BODY, headers)
    response = connection.getresponse()
    response.read()
    return response.status


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Return a file of tokens."""
    return tmp_path / "tokens"


@pytest.fixture
def collector(own_redis: EmbeddedRedis, tmp_path: Path, listed: Path) -> Iterator[Service]:
    """Give a collector of two processes, whose file of tokens has one that is always good."""
    listed.write_text(f"{ALWAYS}\n", "utf-8")
    service = Service(
        "collector",
        own_redis.url,
        tmp_path / "log",
        WEB_CONCURRENCY=str(PROCESSES),
        METRICS_WRITE_TOKENS_FILE=str(listed),
    )
    service.start()
    try:
        wait_until(lambda: logged(service, "was read") == PROCESSES)
        yield service
    finally:
        service.stop()


def logged(service: Service, text: str) -> int:
    """Return how often the processes of a service have logged a text."""
    return service.log.read_text("utf-8").count(text)


def statuses_of(port: int, token: str) -> set[int]:
    """Return what a token is answered over many connections, so that each process has some."""
    found = set()
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        found.add(status_of(connection, token))
        connection.close()
    return found


def test_a_token_is_exchanged_and_no_request_is_lost(collector: Service, listed: Path) -> None:
    """On SIGHUP all processes take the tokens that are listed now; no request is lost."""
    old, old_line = new_token()
    new, new_line = new_token("checkout.")
    senders = [Sender(collector.port) for _ in range(8)]
    kept = [http.client.HTTPConnection("127.0.0.1", collector.port, timeout=30) for _ in senders]
    for sender in senders:
        sender.start()
    assert {status_of(each, ALWAYS) for each in kept} == {202}
    assert collector.process is not None
    for times, (lines, good, bad) in enumerate(((old_line, old, new), (new_line, new, old)), 2):
        listed.write_text(f"{ALWAYS}\n# rotated\n{lines}\n", "utf-8")
        collector.process.send_signal(signal.SIGHUP)

        wait_until(lambda: logged(collector, "was read") == times * PROCESSES)  # noqa: B023
        assert statuses_of(collector.port, good) == {202}
        assert statuses_of(collector.port, bad) == {401}
        # These have been open all the time, and their heads are known.
        for connection in kept * 3:
            assert status_of(connection, good) == 202
            assert status_of(connection, bad) == 401
    for each in (*senders, *kept):
        each.close()

    assert {status for sender in senders for status in sender.statuses} == {202}
    log = collector.log.read_text("utf-8")
    assert not any(secret in log for secret in (ALWAYS, old, new))


def test_a_file_that_cannot_be_used_changes_nothing(collector: Service, listed: Path) -> None:
    """A file with a mistake leaves the tokens as they were, and the log names the line."""
    listed.write_text("good\nshop.=hunter2\n", "utf-8")
    assert collector.process is not None
    collector.process.send_signal(signal.SIGHUP)

    wait_until(lambda: logged(collector, "tokens stay as they were") == PROCESSES)

    assert "line 2: an entry must be token" in collector.log.read_text("utf-8")
    assert "hunter2" not in collector.log.read_text("utf-8")
    assert statuses_of(collector.port, ALWAYS) == {202}
    assert statuses_of(collector.port, "good") == {401}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"METRICS_WRITE_TOKENS": "a"},
        {"METRICS_READ_TOKENS": "a"},
        {"METRICS_WRITE_TOKENS": "a", "METRICS_READ_TOKENS_FILE": "/nowhere/tokens"},
    ],
)
def test_ops_run_lets_no_other_machine_in_without_tokens(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where other machines can ask, ops/run wants tokens for both, or to be told to do without."""
    assert main({"METRICS_HOST": "0.0.0.0", **environ}) == 2  # noqa: S104

    error = capsys.readouterr().err
    assert "METRICS_WITHOUT_TOKENS=yes" in error or "/nowhere/tokens cannot be read" in error
