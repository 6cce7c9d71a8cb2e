"""The redis-servers of the project start with the shipped settings, and are surely its own."""

from pathlib import Path

import pytest

from metrics.errors import SettingsError
from ops.local.cluster_node import BUS_OFFSET, CLUSTER_CONF
from ops.local.ports import PORTS_SHARE, free_port, share_of
from ops.local.redis_cluster import node_ports
from ops.local.redis_server import REDIS_CONF, EmbeddedRedis
from tests.conftest import SERVERS

pytestmark = pytest.mark.every_server


def settings_in(*files: Path) -> dict[str, str]:
    """Return the settings of configuration files."""
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    pairs = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return {name: value.strip('"') for name, value in pairs}


@pytest.mark.parametrize("files", [(REDIS_CONF,), (REDIS_CONF, CLUSTER_CONF)], ids=["one", "node"])
def test_each_setting_that_we_ship_holds(
    server: Path, files: tuple[Path, ...], tmp_path: Path
) -> None:
    """Each shipped setting holds in the server, wherever the files are."""
    folder = tmp_path / "[a] b"
    folder.mkdir()
    copies = [folder / file.name for file in files]
    for file, copy in zip(files, copies, strict=True):
        copy.write_bytes(file.read_bytes())
    (port,) = node_ports(1)
    redis = EmbeddedRedis(server, port=port, folder=folder, configuration=copies).start()
    try:
        with redis.client() as client:
            held = client.config_get()
    finally:
        redis.stop()

    wanted = settings_in(*files)
    assert wanted["appendonly"] == "yes"
    assert {name: held[name] for name in wanted} == wanted


def test_an_option_wins_over_the_settings_that_we_ship(tmp_path: Path) -> None:
    """An option of a server wins over the shipped settings."""
    redis = EmbeddedRedis(
        SERVERS[max(SERVERS)],
        port=free_port(),
        folder=tmp_path,
        options=("--appendfsync", "always"),
    ).start()
    try:
        with redis.client() as client:
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
    finally:
        redis.stop()


def test_a_server_that_has_the_port_already_is_not_taken_for_ours(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """A server does not start where another one listens on its port."""
    redis = EmbeddedRedis(SERVERS[max(SERVERS)], port=redis_server.port, folder=tmp_path)

    with pytest.raises(SettingsError, match=r"did not start; .* says: .*Failed listening on port"):
        redis.start()


def test_a_port_beside_another_is_not_one_that_a_client_may_have() -> None:
    """Ports that are looked for beside others are none that the system gives to clients."""
    assert max(free_port(BUS_OFFSET) for _ in range(200)) + BUS_OFFSET < 32_768


@pytest.mark.parametrize("shares", [1, 2, 3, 4])
def test_processes_that_choose_ports_choose_none_of_each_others(
    shares: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that share ports choose disjoint ones, also 100 or 10,000 further on."""
    ports = range(10_000, 32_768)
    chosen: list[int] = []
    for number in range(shares):
        monkeypatch.setenv(PORTS_SHARE, f"{number}/{shares}")
        own = set(share_of(ports))
        for far in (100, 200, 300, 10_000):
            assert {port + far for port in own if port + far in ports} <= own
        chosen += own

    assert sorted(chosen) == list(ports)


def test_no_port_is_given_that_stands_beside_another() -> None:
    """A node of a cluster gets no port at which the bus of another one will be."""
    given = [
        port + offset
        for port in (free_port(BUS_OFFSET) for _ in range(200))
        for offset in (0, BUS_OFFSET)
    ]

    assert len(set(given)) == len(given)
