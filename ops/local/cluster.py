"""``ops/cluster``: a Redis Cluster for development, started in the foreground, and stopped."""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import sleep

from metrics.errors import MetricsError, SettingsError
from ops.local import append_only_file
from ops.local.cluster_node import BUS_OFFSET
from ops.local.data_folder import own, owner_of
from ops.local.password import Password
from ops.local.ports import is_free
from ops.local.redis_cluster import RedisCluster
from ops.local.redis_server import find_server
from ops.local.signals import interrupt_on_signals
from ops.local.waiting import wait_until

NODES = 6
FIRST_PORT = 7000
STOP_TIMEOUT_S = 30.0


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run until a signal comes, or stop the one that runs; return the exit status."""
    interrupt_on_signals()
    folder = Path(environ.get("METRICS_DATA_DIR") or "data").absolute() / "cluster"
    try:
        if not arguments:
            return _run(folder, _ports(environ))
        if arguments == ["stop"]:
            return _stop(folder)
        raise SettingsError(f"either no argument or stop, got {' '.join(arguments)}")
    except KeyboardInterrupt:
        return 0
    except MetricsError as error:
        print(f"ops/cluster: {error}", file=sys.stderr)
        return 2


def _run(folder: Path, ports: range) -> int:
    with own(folder, "ops/cluster"):
        _check_ports(ports)
        for node in folder.glob("node-*"):
            append_only_file.make_private(node)
        password = Password.kept_in(folder)
        server = find_server(folder / "node-1")
        with RedisCluster(server, ports=ports, folder=folder, password=password) as cluster:
            print(_welcome(cluster, password), flush=True)
            while any(node.is_up for node in cluster.nodes):
                sleep(0.5)
    print(f"ops/cluster: all nodes have ended; their logs are in {folder}", file=sys.stderr)
    return 1


def _stop(folder: Path) -> int:
    pid = owner_of(folder)
    if pid is None:
        raise SettingsError(f"METRICS_DATA_DIR: no cluster runs in {folder}")
    os.kill(pid, signal.SIGTERM)
    try:
        wait_until(lambda: owner_of(folder) != pid, STOP_TIMEOUT_S)
    except TimeoutError as error:
        raise SettingsError(f"process {pid} has not ended after {STOP_TIMEOUT_S:.0f} s") from error
    return 0


def _ports(environ: Mapping[str, str]) -> range:
    text = environ.get("PORT", "").strip() or str(FIRST_PORT)
    last = 65535 - BUS_OFFSET - NODES + 1
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 1 <= int(text) <= last:
        raise SettingsError(f"PORT must be a whole number from 1 to {last}, got {text!r}")
    return range(int(text), int(text) + NODES)


def _check_ports(ports: range) -> None:
    wanted = [*ports, *(port + BUS_OFFSET for port in ports)]
    taken = [port for port in wanted if not is_free(port)]
    if taken:
        raise SettingsError(
            f"port {', '.join(map(str, taken))} cannot be used; another base port is set with PORT"
        )


def _welcome(cluster: RedisCluster, password: Password) -> str:
    first = cluster.nodes[0]
    return f"""
A Redis Cluster is ready: three masters and three replicas, 127.0.0.1:{first.port} and following.

  REDIS_URL=redis://{password.in_url_of_shell}127.0.0.1:{first.port} ops/run
  {first.cli} -c cluster nodes

Stop with Ctrl-C, or with ops/cluster stop.
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
