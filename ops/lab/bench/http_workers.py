"""Which HTTP server serves the most: ``python -m ops.lab.bench.http_workers``.

Worker classes of gunicorn, and granian where it is installed. Each in turn serves the collector,
with a Redis of its own, to wrk with 64 connections; the rounds alternate, and ratios are taken
within a round, since machines change speed.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from metrics.connection import Connection, command
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until

CLASSES = ("gevent", "gevent_pywsgi", "api.server.worker.Worker")
GRANIAN = "granian"
GRANIAN_THREADS = "4"
"""Each waits for Redis with its message; more of them wait for each other."""

CONNECTIONS = 64
START_TIMEOUT_S = 20.0
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  local body = string.format('{"key":"checkout.web-%d","value":%.3f}', n % 10, 20 + n % 977)
  return wrk.format(nil, "/messages", nil, body)
end
"""


def main() -> int:
    """Print a table: requests per second of each class and its ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of load, each class and round")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("needs wrk (on Debian: apt install wrk)", file=sys.stderr)
        return 2
    names = (*CLASSES, GRANIAN) if find_spec(GRANIAN) else CLASSES
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        redis = EmbeddedRedis(find_server(), port=free_port(), folder=Path(folder)).start()
        try:
            for _ in range(options.rounds):
                for name in names:
                    found[name].append(_requests_per_second(name, redis, Path(folder), options))
        finally:
            redis.stop()
    first = found[CLASSES[0]]
    print(f"{'server':<28}{'requests/s':>12}{'ratio':>8}")
    for name, rates in found.items():
        ratio = statistics.median(rate / base for rate, base in zip(rates, first, strict=True))
        print(f"{name:<28}{statistics.median(rates):>12.0f}{ratio:>8.2f}")
    return 0


def _requests_per_second(
    name: str, redis: EmbeddedRedis, folder: Path, options: argparse.Namespace
) -> float:
    connection = Connection.open(redis.url, timeout_s=5.0, connections_max=1)
    connection.ask(command("FLUSHALL"))
    connection.close()
    port = free_port()
    script = folder / "single.lua"
    script.write_text(SCRIPT, "utf-8")
    collector = subprocess.Popen(
        _command(name, port),
        env={
            **os.environ,
            "PORT": str(port),
            "METRICS_HOST": "127.0.0.1",
            "REDIS_URL": redis.url,
            "METRICS_BACKLOG_LIMIT": "1000000000",
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _is_listening(port), START_TIMEOUT_S, "a server")
        wrk = subprocess.run(
            [
                *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{options.seconds}", "-s", str(script)),
                f"http://127.0.0.1:{port}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        collector.terminate()
        collector.wait()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", wrk.stdout)
    if rate is None or "Non-2xx" in wrk.stdout:
        raise RuntimeError(f"{name}: {wrk.stdout}")
    return float(rate[1])


def _command(name: str, port: int) -> list[str]:
    """Return how a server is started; one process of each."""
    if name == GRANIAN:
        return [
            *(sys.executable, "-m", GRANIAN, "--interface", "wsgi", "--factory"),
            *("--host", "127.0.0.1", "--port", str(port), "--blocking-threads", GRANIAN_THREADS),
            *("--log-level", "error", "api.collector:get_app"),
        ]
    return [
        *(sys.executable, "-m", "gunicorn", "--config", "ops/gunicorn_settings.py"),
        *("--worker-class", name, "--log-level", "error", "api.collector:get_app()"),
    ]


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
