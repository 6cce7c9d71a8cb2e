"""The processes of the Procfile and the command line, each as its user, on a Redis over TLS."""

from collections.abc import Iterator
from pathlib import Path
from time import gmtime, strftime

import pytest
from click.testing import CliRunner

from metrics.cli.command_line import command_line
from ops.lab.service import Service
from ops.local.redis_server import find_server
from ops.local.waiting import wait_until
from tests.support.tls_redis import TlsRedis, started


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[TlsRedis]:
    """Yield a Redis with users over TLS."""
    with started(find_server(), tmp_path) as redis:
        yield redis


def test_each_process_does_its_work_as_its_user_over_tls(
    tls_redis: TlsRedis, tmp_path: Path, early_in_the_hour: None
) -> None:
    """Over TLS a message is accepted, folded and found, and no password is in a log."""
    environ = tls_redis.certificates.environ
    services = {
        role: Service(role, tls_redis.url_of(role), tmp_path / f"{role}.log", **environ)
        for role in ("collector", "worker", "query")
    }
    try:
        for service in services.values():
            service.launch()
        for service in services.values():
            service.wait_until_ready(60)
        body = b'{"key":"checkout.web-1","values":[1,2,3]}'
        answer = services["collector"].post(body)
        assert answer.json == {"accepted": 3, "rejected": 0}
        path = strftime("/checkout.web-1/count/%Y-%m-%d/%H", gmtime())
        wait_until(lambda: b'"value":3,' in services["query"].get(path).body, 20)
        assert services["query"].get("/audit").json["balance"] is True
    finally:
        for service in services.values():
            service.kill()

    status = CliRunner(env=tls_redis.environ("operator")).invoke(command_line, ["status"])
    assert status.output.startswith("healthy\n"), status.output
    for name in services:
        password = tls_redis.url_of(name).split(":")[2].partition("@")[0]
        assert password not in (tmp_path / f"{name}.log").read_text("utf-8")
