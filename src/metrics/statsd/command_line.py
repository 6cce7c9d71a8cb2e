"""``python -m metrics statsd``: options, signals, and the way out."""

import argparse
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping as Environment
from collections.abc import Sequence

from metrics.client.client import Client
from metrics.client.sender import Pace
from metrics.client.throttled_log import QUIET_S
from metrics.message import check_key
from metrics.statsd import names
from metrics.statsd.agent import Agent
from metrics.statsd.health import HealthServer, series
from metrics.statsd.intake import Intake
from metrics.statsd.names import Mapping, Names

BUFFERED_MAX = 500_000
"""Messages that may wait, at 16 bytes each: ten seconds of 50,000 a second."""

FOLDED_MAX = 500_000
"""Buckets of what was folded that may wait, at 110 bytes each: 50 of each of 10,000 names."""

BATCH_SIZE = 10_000

DELIVER_S = 15.0
"""How long the end waits for collectors."""

SWITCH_S = 0.0005
"""How long the thread that reads may have to wait for the one that sends."""

DELIVERED, LEFT_BEHIND, BAD_USAGE = 0, 1, 2
"""Exit statuses."""

_log = logging.getLogger("metrics.statsd")


def main(arguments: Sequence[str], environ: Environment[str, str] = os.environ) -> int:
    """Run an agent until SIGTERM or SIGINT; return the exit status of the process.

    Args:
        arguments: Of the command, without its name.
        environ: The environment.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    options = parser(environ).parse_args(arguments)
    try:
        agent, health = _start(options, environ)
    except (ValueError, OSError) as error:
        _log.critical("refusing to start: %s", error)
        return BAD_USAGE
    # Else a thread that waits for its turn would wait ten times as long.
    sys.setswitchinterval(SWITCH_S)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()
    _log.info("delivering what came")
    is_delivered = agent.close(DELIVER_S)
    health.close()
    if is_delivered:
        return DELIVERED
    _log.error("no collector took all of it within %.0f s; what is left is lost", DELIVER_S)
    return LEFT_BEHIND


def _start(
    options: argparse.Namespace, environ: Environment[str, str]
) -> tuple[Agent, HealthServer]:
    """Return an agent that listens, and what answers for it.

    Raises:
        ValueError: If an option cannot be used.
        OSError: If a place to listen at cannot.
    """
    known = Names(prefix=options.prefix, mappings=[Mapping.parse(rule) for rule in options.map])
    own_key = check_key(options.key) if options.key else _default_key()
    client = _Client(
        options.collectors,
        key=own_key,
        max_buffered=BUFFERED_MAX,
        max_folded=FOLDED_MAX,
        aggregate=options.aggregate,
        batch_size=BATCH_SIZE,
        environ=environ,
    )
    intake = Intake(client, known, own_key=own_key, warn=_Warnings().warn)
    agent = Agent(client, intake)
    try:
        agent.listen_udp(options.host, options.port)
        if options.socket:
            agent.listen_unix(options.socket)
        if options.tcp:
            agent.listen_tcp(options.host, options.port)
        health = HealthServer(
            options.host,
            options.http_port,
            series=lambda: series(
                intake.counts, client.stats, names=len(known.known), cleaned=known.cleaned
            ),
        )
    except OSError:
        agent.close(0)
        raise
    host, port = health.server_address[:2]
    _log.info(
        "taking StatsD at %s; http://%s:%d/metrics; losses go under the key %s",
        ", ".join(agent.places),
        host,
        port,
        own_key,
    )
    return agent, health


def parser(environ: Environment[str, str]) -> argparse.ArgumentParser:
    """Return what reads the options of the command."""
    found = argparse.ArgumentParser(
        prog="python -m metrics statsd",
        description="Take StatsD and DogStatsD timings beside an app, and deliver them in batches.",
        epilog="METRICS_TOKEN is sent to collectors that ask for a token.",
    )
    add = found.add_argument
    add("--collectors", metavar="URLS", help="with commas between; default: METRICS_COLLECTORS")
    add("--host", default="127.0.0.1", help="to listen at; default: %(default)s")
    add("--port", type=int, default=8125, help="of UDP, and of TCP; default: %(default)s")
    add("--tcp", action="store_true", help="take lines over TCP as well")
    add("--socket", metavar="PATH", help="take datagrams at this unix socket as well")
    add(
        "--aggregate",
        action="store_true",
        help="send aggregates of each key, once a second, whatever the rate",
    )
    add("--prefix", default="", help="put in front of each key, checkout.")
    add(
        "--map",
        action="append",
        default=[],
        metavar="NAME=KEY",
        help="the key of a name; * in it is any text, $1 in the key that of the first. The first "
        "rule that matches counts; may be given several times",
    )
    add(
        "--key",
        default=environ.get("METRICS_KEY"),
        help="the agent's own, for losses of no known key; default: METRICS_KEY, else statsd.HOST",
    )
    add(
        "--http-port",
        type=int,
        default=environ.get("PORT", 8126),
        help="of /healthz and /metrics; default: PORT, else 8126",
    )
    return found


def _default_key() -> str:
    return check_key(f"statsd.{names.cleaned(socket.gethostname())}"[:128].rstrip("."))


class _Client(Client):
    # The kernel holds what comes while the other thread writes: about a millisecond at a time.
    pace = Pace(values=1000, pause_s=0.005)


class _Warnings:
    """Logs each kind of warning at most once a minute."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, float] = {}

    def warn(self, kind: str, text: str) -> None:
        now = time.monotonic()
        if now >= self._quiet_until.get(kind, 0.0):
            self._quiet_until[kind] = now + QUIET_S
            _log.warning("%s", text)
