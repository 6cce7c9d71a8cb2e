"""gunicorn's settings for the collector and the query service."""

# First of all, before anything imports a socket: gunicorn itself patches only after its fork.
from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

# numpy would start threads, and a process with threads should not fork.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import gc  # noqa: E402
import logging  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from importlib import import_module  # noqa: E402

from gunicorn.arbiter import Arbiter  # noqa: E402
from gunicorn.workers.base import Worker  # noqa: E402

from api.server.request_id import current_request_id  # noqa: E402
from metrics.errors import SettingsError  # noqa: E402
from metrics.log_lines import begin_log  # noqa: E402
from metrics.settings import Settings, in_url  # noqa: E402
from metrics.shared_cells import SharedCells  # noqa: E402

begin_log("console")

try:
    _settings = Settings.from_env(os.environ)
except SettingsError as error:
    logging.getLogger("ops").critical("refusing to start: %s", error)
    sys.exit(2)

begin_log(_settings.log_format, request_id=current_request_id)
logger_class = "api.server.gunicorn_log.GunicornLog"

bind = f"{in_url(_settings.host)}:{_settings.port}"
worker_class = "api.server.worker.Worker"
worker_connections = _settings.connections_max

# Each connection is a descriptor, and Linux allows a process 1024 unless it asks for more.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = worker_connections + 200
if _soft != resource.RLIM_INFINITY and _soft < _wanted:
    _soft = _wanted if _hard == resource.RLIM_INFINITY else min(_wanted, _hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_soft, _hard))
    worker_connections = min(worker_connections, max(_soft - 200, 100))

# Connections to Redis belong to the process that made them.
preload_app = False

control_socket_disable = True

# All but the largest questions are answered within 3 s, and honcho kills what is there after 5 s.
graceful_timeout = 4

# Nothing here believes what a proxy says about a client.
forwarded_allow_ips = ""
accesslog = None


def on_starting(server: Arbiter) -> None:
    """Import what the workers run, once for all: they start sooner, and share its memory."""
    # A reload that starts all processes anew would cut connections off. They read again by
    # themselves what can change: the files of tokens.
    server.handle_hup = lambda: server.kill_workers(signal.SIGHUP)
    import_module(server.app.app_uri.partition(":")[0])
    gc.freeze()


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Give the process that is forked next a row of its own to count in."""
    worker.row = SharedCells.of_service().take_row()
    worker.connections_per_address_max = _settings.connections_per_address_max
    worker.bodies_bytes_max = _settings.bodies_bytes_max


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Let another process go on in the row of one that has ended."""
    SharedCells.of_service().give_back(worker.row)
