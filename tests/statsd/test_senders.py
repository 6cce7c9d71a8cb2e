"""What real clients of StatsD send is counted, each timing once."""

import signal
from pathlib import Path

import statsd
from datadog.dogstatsd.base import DogStatsd

from ops.lab.service import Service
from ops.local.ports import is_free
from ops.local.waiting import wait_until
from tests.statsd.running import Running, running
from tests.support.fake_collector import FakeCollector

APP = "exec gunicorn --bind 127.0.0.1:$PORT --no-control-socket"
REQUESTS = 20


def send_with_statsd(port: int) -> None:
    """Send with the client of StatsD: one by one, and many in a datagram."""
    client = statsd.StatsClient("127.0.0.1", port, prefix="statsd")
    for number in range(100):
        client.timing("single", number + 0.5)
        client.incr("requests")
    with client.pipeline() as pipe:
        for number in range(100):
            pipe.timing("together", number)
        pipe.gauge("queue", 3)
    client.close()


def send_with_datadog(port: int, path: Path) -> None:
    """Send with the client of Datadog: buffered by it, with tags, over UDP and a unix socket."""
    with DogStatsd(host="127.0.0.1", port=port, constant_tags=["env:test"]) as client:
        for number in range(100):
            client.timing("datadog.timing", number)
            client.histogram("datadog.histogram", number, tags=["a:b"])
            client.increment("requests")
        client.event("title", "text")
        client.service_check("check", 0)
    client.close_socket()
    beside = DogStatsd(socket_path=str(path), socket_timeout=60)
    for number in range(100):
        beside.distribution("datadog.distribution", number)
    beside.flush()
    beside.close_socket()


def ask_gunicorn(agent: Running, folder: Path) -> None:
    """Have gunicorn serve requests, each of which it sends as a timing."""
    service = Service(
        "gunicorn",
        "",
        folder / "gunicorn.log",
        command=f"{APP} --statsd-host 127.0.0.1:{agent.port} --statsd-prefix checkout.web-1"
        " tests.statsd.served:app",
    ).launch()
    try:
        wait_until(lambda: service.has_ended or not is_free(service.port))
        for _ in range(REQUESTS):
            assert service.get("/").status == 200
        service.send(signal.SIGTERM)
        assert service.wait() == 0
    finally:
        service.kill()


def test_everything_that_is_sent_is_counted_once(fake: FakeCollector, tmp_path: Path) -> None:
    """Timings of statsd, datadog and gunicorn are counted once; what is no timing is ignored."""
    path = tmp_path / "s"
    mapping = "*.gunicorn.request.duration=$1"
    with running(tmp_path, fake.url, "--socket", str(path), "--map", mapping) as agent:
        send_with_statsd(agent.port)
        send_with_datadog(agent.port, path)
        ask_gunicorn(agent, tmp_path)
        assert agent.end() == 0

    assert sorted(fake.values("statsd.single")) == [number + 0.5 for number in range(100)]
    for name in (
        "statsd.together",
        "datadog.timing",
        "datadog.histogram",
        "datadog.distribution",
    ):
        assert sorted(fake.values(name)) == list(range(100)), name
    assert len(fake.values("checkout.web-1")) == REQUESTS
    assert fake.dropped("agent") == 0
    log = agent.log.read_text("utf-8")
    assert "WARNING" not in log, log
