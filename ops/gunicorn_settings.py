"""gunicorn's settings for the collector and the query service."""

# First of all, before anything imports a socket: gunicorn itself patches only after its fork.
from gevent import monkey

monkey.patch_all()

import logging  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402

from metrics.settings import EVERYWHERE, bare_host, in_url  # noqa: E402

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

_host = bare_host(os.environ.get("METRICS_HOST", "").strip() or EVERYWHERE)
bind = f"{in_url(_host)}:{os.environ.get('PORT', '8000')}"
worker_class = "api.server.worker.Worker"
worker_connections = int(os.environ.get("METRICS_CONNECTIONS_MAX", "").strip() or 4000)

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

# Every request is answered within 3 seconds, and honcho kills what is there after 5.
graceful_timeout = 4

# Nothing here believes what a proxy says about a client.
forwarded_allow_ips = ""
accesslog = None
