"""``python -m metrics statsd`` as a process: its start, its health, and its end."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics.statsd import command_line
from metrics.statsd.agent import Agent
from tests.statsd.running import Running, command, running
from tests.support.fake_collector import FakeCollector


@pytest.fixture
def agent(fake: FakeCollector, tmp_path: Path) -> Iterator[Running]:
    """Yield an agent that delivers to a collector that is well."""
    with running(tmp_path, fake.url) as agent:
        yield agent


def send(agent: Running, *lines: str) -> None:
    """Send a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto("\n".join(lines).encode(), ("127.0.0.1", agent.port))


def get(agent: Running, path: str, **headers: str) -> tuple[int, str]:
    """Ask for something; return status and content."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.http_port, timeout=60)
    connection.request("GET", path, headers=headers)
    with connection.getresponse() as response:
        return response.status, response.read().decode()


def test_it_says_what_it_did_and_delivers_at_its_end(agent: Running, fake: FakeCollector) -> None:
    """Health and series are there while it runs; SIGTERM delivers what came, and the losses."""
    send(agent, "checkout.web-1:98.1|ms", "bad line", "a b:1|ms|@0.5", "c:1|c")
    assert get(agent, "/healthz") == (200, '{"status":"ok"}')
    status, series = get(agent, "/metrics")
    assert status == 200
    names = [line.split()[0] for line in series.splitlines() if not line.startswith("#")]
    assert len(names) == len(set(names)) == series.count("# TYPE ") == series.count("# HELP ")
    assert all(name.startswith("metrics_statsd_") for name in names)
    status, problem = get(agent, "/other")
    assert (status, json.loads(problem)["status"]) == (404, 404)
    assert get(agent, "/metrics", Host="rebound.example")[0] == 421

    assert agent.end() == 0
    assert fake.values("checkout.web-1") == [98.1]
    assert fake.values("a_b") == [1.0, 1.0]
    assert fake.dropped("agent") == 1


def test_it_may_send_aggregates(fake: FakeCollector, tmp_path: Path) -> None:
    """With --aggregate a key is one item of a request, however many lines there were."""
    with running(tmp_path, fake.url, "--aggregate") as agent:
        send(agent, *["checkout.web-1:98.1|ms"] * 30)

        assert agent.end() == 0

    assert (fake.count("checkout.web-1"), fake.values("checkout.web-1")) == (30, [])
    assert len(fake.aggregates("checkout.web-1")) <= 2


def test_it_says_if_something_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With all collectors away at its end, exit status and log say that messages are lost."""
    monkeypatch.setattr(command_line, "DELIVER_S", 0.05)
    monkeypatch.setattr(Agent, "run", lambda self: self._client.record("a", 1.0))

    assert command_line.main(command()[4:], {"METRICS_COLLECTORS": "http://127.0.0.1:1"}) == 1
    assert "what is left is lost" in caplog.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--collectors", ""], "a client needs collectors"),
        (["--map", "a"], "a mapping is NAME=KEY"),
        (["--prefix", "."], "a prefix is the beginning of a key"),
        (["--key", "a b"], "key must be 1 to 128 characters"),
        (["--socket", "/"], "is no socket"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(
    options: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An option that is none ends it with status 2 and a line that says why."""
    arguments = command("--collectors", "http://127.0.0.1:1", *options)[4:]

    assert command_line.main(arguments, {}) == 2
    assert "refusing to start" in caplog.text
    assert said in caplog.text


def test_nothing_but_the_standard_library_is_imported() -> None:
    """An agent runs where none of our dependencies is installed."""
    script = (
        "import sys; sys.argv[1:] = ['statsd', '--help']; import metrics.__main__ as m\n"
        "try: m.main()\n"
        "except SystemExit: print(*sorted(n for n in sys.modules if '.' not in n))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert "--socket PATH" in ended.stdout
    loaded = set(ended.stdout.split()[-300:])
    assert not loaded & {"click", "rich", "redis", "msgspec", "falcon", "gevent", "numpy"}
