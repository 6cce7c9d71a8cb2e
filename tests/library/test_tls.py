"""``rediss://``: our CA is trusted and no other, we show our certificate, every node is checked."""

import logging
import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from metrics.connection import Connection, command
from metrics.errors import SettingsError, StorageUnavailableError
from metrics.node import Node
from metrics.settings import Settings
from metrics.tls import CA_FILE, CERT_FILE, KEY_FILE, TlsFiles
from metrics.topology import SLOTS
from ops.lab.certificates import Certificates
from ops.lab.tls_front import speaks_tls, tls_before
from ops.local.cluster_node import BUS_OFFSET, CLUSTER_CONF
from ops.local.ports import free_port
from ops.local.redis_server import REDIS_CONF, EmbeddedRedis, find_server
from ops.local.waiting import wait_until

# Every server over TLS, as each user: tests/processes/test_users_acl.py.
pytestmark = pytest.mark.one_server

SECRET = "hunter2"  # noqa: S105


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return certificates for 127.0.0.1 and localhost."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return certificates of another CA."""
    return Certificates(tmp_path_factory.mktemp("strangers"))


def reached(port: int, tls: TlsFiles | None, *, host: str = "127.0.0.1") -> Connection:
    """Return the way to a Redis over TLS."""
    url = f"rediss://{host}:{port}"
    return Connection.open(url, timeout_s=5, connections_max=2, tls=tls)


def test_a_redis_is_reached_over_tls_with_our_certificates(
    redis_server: EmbeddedRedis, certificates: Certificates
) -> None:
    """A Redis that asks for a certificate of its CA is reached with one."""
    with (
        tls_before(redis_server.port, certificates.server_context()) as port,
        closing(reached(port, certificates.client)) as connection,
    ):
        assert connection.ask(command("PING")) == b"PONG"


@pytest.mark.parametrize(
    "fault",
    ["no CA of ours", "CA of others", "no certificate", "certificate of others", "another name"],
)
def test_a_redis_that_cannot_be_trusted_is_away_and_so_are_we_to_it(
    fault: str,
    redis_server: EmbeddedRedis,
    certificates: Certificates,
    strangers: Certificates,
    tmp_path: Path,
) -> None:
    """Without the right CA, certificate or name on either side no command reaches Redis."""
    ours = certificates.client
    other = Certificates(tmp_path, ("redis.example",))
    served, tls = {
        "no CA of ours": (certificates, replace(ours, ca="")),
        "CA of others": (certificates, replace(ours, ca=strangers.client.ca)),
        "no certificate": (certificates, TlsFiles(ours.ca)),
        "certificate of others": (certificates, replace(strangers.client, ca=ours.ca)),
        "another name": (other, other.client),
    }[fault]
    with (
        tls_before(redis_server.port, served.server_context()) as port,
        closing(reached(port, tls)) as connection,
        pytest.raises(StorageUnavailableError, match="Redis is away"),
    ):
        connection.ask(command("PING"))


@dataclass(frozen=True)
class LoneNode:
    """A cluster of one node that takes TLS by itself.

    Attributes:
        port: Where it takes TLS.
        certificates: Its own and ours; its name in them is localhost and nothing else.
        client: A plain client.
    """

    port: int
    certificates: Certificates
    client: redis.Redis


@pytest.fixture(scope="module")
def lone_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneNode]:
    """Yield that node, of a server that was built with TLS."""
    server = find_server()
    if not speaks_tls(server):
        pytest.skip(f"{server} was built without TLS")
    folder = tmp_path_factory.mktemp("lone-node")
    certificates = Certificates(folder, ("localhost",))
    port = free_port(BUS_OFFSET)  # with tls-cluster its bus is beside this one
    node = EmbeddedRedis(
        server,
        port=free_port(),
        folder=folder,
        configuration=(REDIS_CONF, CLUSTER_CONF),
        options=(
            *certificates.redis_options(port),
            *("--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1"),
        ),
    ).start()
    with node.client() as client:
        client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
        wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", 10)
        yield LoneNode(port, certificates, client)
    node.stop(signal.SIGKILL)


def test_each_node_of_a_cluster_is_checked_by_the_name_that_the_cluster_gives_it(
    lone_node: LoneNode,
) -> None:
    """A node of a cluster must have a certificate for what CLUSTER SLOTS calls it."""
    port, tls = lone_node.port, lone_node.certificates.client
    lone_node.client.config_set("cluster-preferred-endpoint-type", "ip")
    with (
        closing(reached(port, tls, host="localhost")) as connection,
        pytest.raises(StorageUnavailableError, match="certificate is not valid for '127"),
    ):
        connection.ask(command("GET", "a"))

    lone_node.client.config_set("cluster-announce-hostname", "localhost")
    lone_node.client.config_set("cluster-preferred-endpoint-type", "hostname")
    with closing(reached(port, tls, host="localhost")) as connection:
        assert connection.ask(command("GET", "a")) is None


def test_tickets_of_the_server_are_taken_for_no_reply(lone_node: LoneNode) -> None:
    """A new connection to a Redis that asks for no password can be used at once, and each time."""
    url = (
        f"rediss://localhost:{lone_node.port}?ssl_cert_reqs=none&ssl_certfile={{}}&ssl_keyfile={{}}"
    )
    tls = lone_node.certificates.client
    for way, files in ((url.format(tls.certificate, tls.key), None), (url, tls)):
        for _ in range(5):
            node = Node.at(way, timeout_s=5, connections_max=1, tls=files)
            node.release(node.connect())
            node.close()


def test_a_certificate_that_is_replaced_is_taken_by_the_next_connection(
    redis_server: EmbeddedRedis, certificates: Certificates, strangers: Certificates, tmp_path: Path
) -> None:
    """A new connection reads the files again, so that renewing one needs no restart."""
    ca = tmp_path / "ca.pem"
    shutil.copy(strangers.client.ca, ca)
    with (
        tls_before(redis_server.port, certificates.server_context()) as port,
        closing(reached(port, replace(certificates.client, ca=str(ca)))) as connection,
    ):
        with pytest.raises(StorageUnavailableError):
            connection.ask(command("PING"))
        shutil.copy(certificates.client.ca, ca)
        wait_until(lambda: connection.execute([command("PING")]) == [b"PONG"], 10)


def test_the_files_are_settings(certificates: Certificates) -> None:
    """Three variables name the files; without any, rediss:// trusts whom the machine trusts."""
    url = {"REDIS_URL": "rediss://localhost"}

    assert Settings.from_env({**url, **certificates.environ}).redis_tls == certificates.client
    assert Settings.from_env(url).redis_tls is None


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({"REDIS_URL": "redis://h", CA_FILE: "ca.pem"}, f"{CA_FILE}.* need rediss:// in REDIS_URL"),
        ({KEY_FILE: "key.pem"}, f"{KEY_FILE} is set and {CERT_FILE} is not"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(variables: dict[str, str], rule: str) -> None:
    """Files without rediss://, and a key without its certificate, are wrong settings."""
    with pytest.raises(SettingsError, match=rule):
        Settings.from_env({"REDIS_URL": "rediss://h", **variables})


@pytest.mark.parametrize("part", ["ca", "certificate", "key"])
@pytest.mark.parametrize("text", [None, "", "no PEM"], ids=["missing", "empty", "no PEM"])
def test_a_file_that_cannot_be_used_is_named_at_start(
    part: str, text: str | None, certificates: Certificates, tmp_path: Path
) -> None:
    """A file that is missing or holds something else is refused at start, with its variable."""
    file = tmp_path / "file.pem"
    if text is not None:
        file.write_text(text, "utf-8")
    variable = {"ca": CA_FILE, "certificate": CERT_FILE, "key": KEY_FILE}[part]

    with pytest.raises(SettingsError, match=f"{variable} '{file}'"):
        reached(1, replace(certificates.client, **{part: str(file)}))


def test_a_key_with_a_passphrase_is_refused_instead_of_asking_the_terminal(
    certificates: Certificates, tmp_path: Path
) -> None:
    """A key with a passphrase is a wrong setting; nothing waits for somebody to type it."""
    key = load_pem_private_key(Path(certificates.client.key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode())
        )
    )

    with pytest.raises(SettingsError, match="without a passphrase"):
        reached(1, replace(certificates.client, key=str(locked)))


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_password_shows_nowhere(
    scheme: str,
    redis_server: EmbeddedRedis,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A password in REDIS_URL is in no repr, no error with its causes, and no line of the log."""
    caplog.set_level(logging.DEBUG)
    tls = certificates.client if scheme == "rediss" else None
    shown = []
    with tls_before(redis_server.port, certificates.server_context()) as tls_port:
        port = tls_port if tls else redis_server.port
        for where in (f"127.0.0.1:{port}", "127.0.0.1:1", f"127.0.0.1:{port}/{SECRET}"):
            url = f"{scheme}://somebody:{SECRET}@{where}"
            shown.append(repr(Settings.from_env({"REDIS_URL": url})))
            try:
                with closing(Connection.open(url, timeout_s=5, connections_max=1, tls=tls)) as way:
                    shown += [repr(way), repr(vars(way)), *map(repr, everything_in(way))]
                    way.ask(command("PING"))
            except (StorageUnavailableError, SettingsError) as error:
                shown += traceback.format_exception(error)

    assert any("invalid username-password pair" in text for text in shown)
    assert any("Connection refused" in text for text in shown)
    assert SECRET not in "\n".join([*shown, caplog.text])


def everything_in(connection: Connection) -> Iterator[object]:
    """Give what a connection is made of, with the pool of redis-py."""
    for node in connection._topology._nodes.values():
        yield node
        yield node._pool
