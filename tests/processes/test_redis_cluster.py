"""ops/cluster starts six nodes with one command, and they can be killed, moved and added.

Where time is dear, the tests run on the newest Redis only.
"""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, ResponseError

from metrics.errors import StorageUnavailableError
from ops.lab.service import ROOT
from ops.local.cluster import NODES
from ops.local.cluster_node import BUS_OFFSET
from ops.local.password import Password
from ops.local.ports import free_port
from ops.local.redis_cluster import SLOTS, RedisCluster, node_ports
from ops.local.waiting import wait_until
from tests.conftest import SERVERS
from tests.support.runs import environ, last_line, processes_in, shell

NEWEST = SERVERS[max(SERVERS)]
KEY = "metrics:{7}:audit"
SLOT = key_slot(KEY.encode())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Yield a cluster for this file alone, as ops/cluster has it."""
    folder = tmp_path_factory.mktemp("own")
    ports = node_ports(NODES)
    password = Password.kept_in(folder)
    with RedisCluster(
        NEWEST, ports=ports, folder=folder, node_timeout_ms=1000, password=password
    ) as cluster:
        yield cluster


@pytest.fixture
def well(cluster: RedisCluster) -> Iterator[RedisCluster]:
    """Yield the cluster with nothing wrong before and after the test."""
    cluster.wait_until_healthy()
    yield cluster
    cluster.wait_until_healthy()


def slots_of(cluster: RedisCluster) -> list[int]:
    """Return the slots that masters have, in order."""
    return sorted(slot for runs in cluster.masters().values() for run in runs for slot in run)


def test_masters_share_the_slots_and_each_has_a_replica(redis_cluster: RedisCluster) -> None:
    """Three masters share all slots, and what is written to one is on its replica."""
    assert slots_of(redis_cluster) == list(range(SLOTS))
    masters = {at: slots for at, slots in redis_cluster.masters().items() if slots}
    replicas = set()
    for address, slots in masters.items():
        master = redis_cluster.node_at(address)
        replicas.add(redis_cluster.replica_of(master).address)
        key = next(key for key in map(str, range(100_000)) if key_slot(key.encode()) in slots[0])
        master.ask("SET", key, "1")
        assert master.ask("WAIT", 1, 4000) == 1
    assert len(masters) == len(replicas) == 3
    assert not replicas & masters.keys()


def test_it_is_not_healthy_before_all_nodes_know_who_is_a_master(
    well: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster is not healthy until every node knows which nodes are masters."""
    node, replica = well.nodes[0], well.replica_of(well.master_of(0))
    heard = node.members()
    late = {replica.address: replace(heard[replica.address], is_master=True, master_id="-")}
    views = iter([heard | late] * 20)
    monkeypatch.setattr(node, "members", lambda: next(views, heard))

    well.wait_until_healthy()

    assert next(views, None) is None


def test_a_failover_makes_the_replica_the_master(well: RedisCluster) -> None:
    """After a failover the replica is the master with its data, and the master is its replica."""
    master = well.master_of(KEY)
    master.ask("SET", KEY, "kept")

    heir = well.failover(master)

    assert heir is not master
    assert well.master_of(SLOT) is heir
    assert heir.ask("GET", KEY) == b"kept"
    well.wait_until_healthy()
    assert well.replica_of(heir) is master


def test_a_master_that_is_killed_is_replaced_and_comes_back_as_replica(well: RedisCluster) -> None:
    """A killed master is replaced by its replica, and comes back as the replica."""
    master = well.master_of(KEY)
    heir = well.replica_of(master)
    master.ask("SET", KEY, "1")
    assert master.ask("WAIT", 1, 4000) == 1

    master.kill()

    assert not master.is_up
    with pytest.raises(StorageUnavailableError, match=f"after 0 s: {master.address}: has slots"):
        well.wait_until_healthy(0)
    well.wait_until_healthy()
    assert well.master_of(KEY) is heir
    assert heir.ask("GET", KEY) == b"1"
    with pytest.raises(StorageUnavailableError, match="has no replica that is up"):
        well.replica_of(heir)
    master.start()
    well.wait_until_healthy()
    assert well.replica_of(heir) is master


def test_a_node_that_is_paused_answers_nothing_until_it_goes_on(well: RedisCluster) -> None:
    """A paused node is stopped and not up until it is resumed."""
    replica = well.replica_of(well.master_of(KEY))

    replica.pause()

    assert not replica.is_up
    assert Path(f"/proc/{replica.process.pid}/stat").read_text().split()[2] == "T"
    replica.resume()
    assert replica.ask("PING") is True


def test_a_slot_moves_with_its_keys_and_can_be_held_half_moved(well: RedisCluster) -> None:
    """A slot moves with its keys, and belongs to the old master until all have moved."""
    source = well.master_of(SLOT)
    target = next(well.node_at(at) for at in well.masters() if at != source.address)
    source.ask("FLUSHALL")
    names = [f"metrics:{{7}}:hour:{number}" for number in range(5)]
    for name in names:
        source.ask("HSET", name, "count", 1)
    steps = well.moving_slot(SLOT, target, step=2)

    assert [next(steps), next(steps)] == [0, 2]
    assert well.master_of(SLOT) is source
    assert source.ask("CLUSTER COUNTKEYSINSLOT", SLOT) == 3
    assert target.ask("CLUSTER COUNTKEYSINSLOT", SLOT) == 2
    with pytest.raises(ResponseError, match=f"{SLOT} {target.address}"):
        [source.ask("HGET", name, "count") for name in names]
    assert list(steps) == [4, 5]
    well.wait_until_healthy()
    assert well.master_of(SLOT) is target
    assert [target.ask("HGET", name, "count") for name in names] == [b"1"] * 5
    well.move_slot(SLOT, source)
    assert well.master_of(SLOT) is source


def test_a_node_that_is_added_is_a_master_that_can_take_slots(well: RedisCluster) -> None:
    """An added node is a master without slots, and can take one."""
    added = well.add_node()

    assert well.masters()[added.address] == ()
    source = well.master_of(SLOT)
    well.move_slot(SLOT, added)
    assert well.master_of(SLOT) is added
    assert slots_of(well) == list(range(SLOTS))
    well.move_slot(SLOT, source)
    assert well.master_of(SLOT) is source
    # Without slots again, it may have become a replica.
    added.kill()
    well.nodes.remove(added)


def test_a_cluster_that_was_left_half_made_is_made_whole(tmp_path: Path) -> None:
    """A cluster that was left half made is completed, and keeps what was done."""
    cluster = RedisCluster(NEWEST, ports=node_ports(NODES), folder=tmp_path)
    first = cluster.nodes[0].start()
    first.ask("CLUSTER ADDSLOTS", *range(SLOTS // 3))
    first.stop()

    with cluster:
        assert cluster.master_of(0) is first
        assert len(cluster.masters()) == 3
        assert slots_of(cluster) == list(range(SLOTS))


class Launched:
    """One ``ops/cluster``, without the shell script that makes ``.venv``."""

    def __init__(self, folder: Path, *arguments: str, port: int | str = 0) -> None:
        self.port = port or free_base_port()
        self._log = folder / f"output-{len(list(folder.iterdir()))}"
        with self._log.open("xb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops.local.cluster", *arguments],
                cwd=ROOT,
                env=environ(PORT=str(self.port), METRICS_DATA_DIR=str(folder / "data")),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return self._log.read_text("utf-8")

    def wait_until_ready(self) -> str:
        """Wait for the lines that it prints when all is up, and return them."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.output
            return "is ready" in self.output and "ops/cluster stop." in self.output

        wait_until(is_ready)
        return self.output

    def end(self, number: signal.Signals | None = None) -> int:
        """Wait for its end, after a signal if one is given, and return its status."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(60)


def free_base_port() -> int:
    """Return a port that is free together with those of the other nodes."""
    return free_port(*[i + bus for i in range(NODES) for bus in (0, BUS_OFFSET)])


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Yield a function that starts ops/cluster as in a terminal, and leave nothing of it."""
    all_launched = []

    def launch(*arguments: str, **where: int | str) -> Launched:
        all_launched.append(Launched(tmp_path, *arguments, **where))
        return all_launched[-1]

    yield launch
    for launched in all_launched:
        if launched.process.poll() is None:
            launched.end(signal.SIGTERM)


def test_one_command_starts_it_and_ctrl_c_leaves_no_process(
    launch: Callable[..., Launched], tmp_path: Path
) -> None:
    """One command starts a cluster for its user alone, Ctrl-C ends all of it, and data stays."""
    first = launch()
    welcome = first.wait_until_ready()
    (redis_cli,) = re.findall(r"^  (.* -c) cluster nodes$", welcome, re.MULTILINE)

    url = re.search(r"^  REDIS_URL=(.*) ops/run$", welcome, re.MULTILINE)[1]
    with Redis.from_url(shell(f"echo {url}").strip()) as client:
        assert client.ping()
    with Redis(port=first.port) as anybody, pytest.raises(AuthenticationError):
        anybody.ping()
    data = tmp_path / "data" / "cluster"
    assert {path.stat().st_mode & 0o077 for path in (data, *data.glob("node-*/*/*"))} == {0}
    assert len(shell(f"{redis_cli} cluster nodes").splitlines()) == NODES
    assert shell(f"{redis_cli} set '{KEY}' kept") == "OK\n"
    assert len(processes_in(tmp_path)) == NODES
    assert first.end(signal.SIGINT) == 0
    assert processes_in(tmp_path) == []
    second = launch()
    second.wait_until_ready()
    moved_cli = redis_cli.replace(str(first.port), str(second.port))
    assert shell(f"{moved_cli} get '{KEY}'") == "kept\n"
    in_use = launch()
    assert in_use.end() == 2
    assert last_line(in_use.output).endswith("/data/cluster is in use by another ops/cluster")
    assert launch("stop").end() == 0
    assert second.end() == 0
    assert processes_in(tmp_path) == []


def test_one_that_is_killed_leaves_no_process(
    launch: Callable[..., Launched], tmp_path: Path
) -> None:
    """A killed ops/cluster leaves no process, even while it starts."""
    launched = launch()
    wait_until(lambda: len(processes_in(tmp_path)) == NODES)

    launched.end(signal.SIGKILL)

    wait_until(lambda: processes_in(tmp_path) == [])


def test_a_busy_port_is_one_clear_line(launch: Callable[..., Launched]) -> None:
    """A busy port, also of the cluster bus, is one line that names it, and status 2."""
    port = free_base_port()
    with socket.create_server(("127.0.0.1", port + 2 + BUS_OFFSET)):
        launched = launch(port=port)
        assert launched.end() == 2

    assert launched.output == (
        f"ops/cluster: port {port + 2 + BUS_OFFSET} cannot be used; "
        "another base port is set with PORT\n"
    )


@pytest.mark.parametrize(
    ("arguments", "port", "said"),
    [
        ((), "x", "PORT must be a whole number from 1 to 55530, got 'x'"),
        ((), "55531", "PORT must be a whole number from 1 to 55530, got '55531'"),
        (("start",), "", "either no argument or stop, got start"),
        (("stop",), "", "METRICS_DATA_DIR: no cluster runs in "),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    launch: Callable[..., Launched], arguments: tuple[str, ...], port: str, said: str
) -> None:
    """A wrong port or argument of ops/cluster is one line on its output and status 2."""
    launched = launch(*arguments, port=port)

    assert launched.end() == 2
    assert launched.output.startswith(f"ops/cluster: {said}")
    assert launched.output.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_one_clear_line(
    launch: Callable[..., Launched], tmp_path: Path
) -> None:
    """A folder that cannot be written is a line that names METRICS_DATA_DIR, and status 2."""
    (tmp_path / "data").write_text("in the way", "utf-8")
    launched = launch()

    assert launched.end() == 2
    assert last_line(launched.output).startswith("ops/cluster: METRICS_DATA_DIR: cannot write to ")
