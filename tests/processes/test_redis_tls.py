"""The processes of the Procfile and the command line, each as its user, on a Redis over TLS."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import gmtime, strftime

import pytest
from click.testing import CliRunner

from metrics.cli.command_line import command_line
from ops.lab.certificates import Certificates
from ops.lab.service import Service
from ops.local.ports import free_port
from ops.local.redis_server import find_server
from ops.local.redis_with_users import RedisWithUsers
from ops.local.waiting import wait_until
from tests.support.tls import speaks_tls, tls_before


@dataclass(frozen=True)
class TlsRedis:
    """A Redis with the users that ship, over TLS.

    Attributes:
        redis: The server.
        port: Where it takes TLS.
        certificates: What it asks for.
    """

    redis: RedisWithUsers
    port: int
    certificates: Certificates

    def url_of(self, role: str) -> str:
        """Return the URL of a user."""
        return self.redis.url_of(role, port=self.port, scheme="rediss")


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[TlsRedis]:
    """Yield it: of itself where the server was built with TLS, else with TLS in front."""
    server, port = find_server(), free_port()
    certificates = Certificates(tmp_path)
    is_able = speaks_tls(server)
    options = certificates.redis_options(port) if is_able else ()
    redis = RedisWithUsers(server, port=free_port(), folder=tmp_path, options=options).start()
    with ExitStack() as stack:
        stack.callback(redis.stop, signal.SIGKILL)
        if not is_able:
            context = certificates.server_context()
            port = stack.enter_context(tls_before(redis.port, context))
        yield TlsRedis(redis, port, certificates)


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

    status = CliRunner(env={**environ, "REDIS_URL": tls_redis.url_of("operator")}).invoke(
        command_line, ["status"]
    )
    assert status.output.startswith("healthy\n"), status.output
    for name in services:
        password = tls_redis.url_of(name).split(":")[2].partition("@")[0]
        assert password not in (tmp_path / f"{name}.log").read_text("utf-8")
