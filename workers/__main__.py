"""The worker process: ``python -m workers``."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping

from metrics.backlog import Backlog
from metrics.connection import Connection, command
from metrics.cross_site import CrossSiteRules
from metrics.errors import SettingsError, StorageUnavailableError, StorageUnsoundError
from metrics.layout import Layout
from metrics.log_lines import begin_log
from metrics.settings import LOOPBACK, Settings
from workers.aggregator import Aggregator
from workers.counters import Counters
from workers.health import HealthServer

REDIS_TIMEOUT_S = 3.0
"""A node of a cluster that hangs holds the partitions of the others up for so long, once."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SIGNAL_CHECK_S = 0.1

_log = logging.getLogger("workers")


def consumer_name(environ: Mapping[str, str], port: int) -> str:
    """Return a name for this worker that is the same after a restart, and no other's.

    On Heroku the name of the dyno; elsewhere the host and the port, which only one can have.
    """
    return environ.get("DYNO") or f"{socket.gethostname()}-{port}"


def main(environ: Mapping[str, str]) -> int:
    """Run a worker until SIGTERM or SIGINT; return the exit status of the process."""
    begin_log("console")
    try:
        settings = Settings.from_env(environ, default_host=LOOPBACK)
        begin_log(settings.log_format)
        return serve(settings, environ)
    except SettingsError as error:
        _log.critical("refusing to start: %s", error)
        return 2


def serve(settings: Settings, environ: Mapping[str, str]) -> int:
    """Fold the backlog and answer probes until a signal comes.

    Raises:
        SettingsError: If it cannot start with these settings.
    """
    connection = Connection.open(
        settings.redis_url,
        timeout_s=REDIS_TIMEOUT_S,
        connections_max=2,
        tls=settings.redis_tls,
    )
    layout = Layout(connection, partitions=settings.partitions)
    try:
        layout.ensure()
    except (StorageUnavailableError, StorageUnsoundError) as error:
        _log.warning("waiting for Redis: %s", error)
    consumer = consumer_name(environ, settings.port)
    counters = Counters()
    connection.on_error = counters.redis_errors.count
    aggregator = Aggregator(
        Backlog(connection, consumer=consumer, retention_days=settings.retention_days),
        ensure_layout=layout.ensure,
        partitions=settings.partitions,
        claim_s=settings.claim_seconds,
        lateness_s=settings.lateness_seconds,
        counters=counters,
    )
    try:
        health = HealthServer(
            settings.host,
            settings.port,
            rules=CrossSiteRules.of(settings),
            check=lambda: _check(connection),
            counters=counters,
        )
    except OSError as error:
        raise SettingsError(
            f"PORT {settings.port} cannot be used at METRICS_HOST {settings.host}: {error}"
        ) from error
    # Before it says that it is ready: whoever asks it to stop from then on must be heard.
    stop = _Stop()
    for number in STOP_SIGNALS:
        signal.signal(number, stop.ask)
    health.start()
    _log.info("worker %s folds %d partitions", consumer, settings.partitions)
    status = _run_until(stop, aggregator)
    health.close()
    connection.close()
    return status


class _Stop:
    """Whether a signal has asked to stop.

    Attributes:
        is_asked: Whether one has.
    """

    def __init__(self) -> None:
        self.is_asked = False

    def ask(self, *_: object) -> None:
        """Note a signal."""
        self.is_asked = True


def _run_until(stop: _Stop, aggregator: Aggregator) -> int:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            aggregator.run()
        except BaseException as error:  # noqa: BLE001  (raised again below)
            failures.append(error)

    # In a thread of its own, since a handler may interrupt the main thread anywhere, even while
    # it holds the lock that stopping takes.
    thread = threading.Thread(target=run, name="aggregator")
    thread.start()
    while thread.is_alive() and not stop.is_asked:
        thread.join(SIGNAL_CHECK_S)
    aggregator.stop()
    thread.join()
    # An interpreter that exits gives signals back to the system, which would end it by the next.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if failures:
        raise failures[0]
    return 0


def _check(connection: Connection) -> None:
    connection.ask(command("PING"))


if __name__ == "__main__":
    sys.exit(main(os.environ))
