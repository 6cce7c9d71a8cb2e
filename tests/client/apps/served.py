"""A WSGI app that gunicorn serves, with a client made when the module is read, as apps do.

``/<number>`` is recorded with that number as its value, under ``requests``. With AT_IMPORT, reading
the module is recorded, too.
"""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import tests.client.apps.patience  # noqa: F401  (for what it sets)
from metrics import Client

client = Client(flush_seconds=0.2)
if os.environ.get("AT_IMPORT"):
    client.record("imports", 1)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Record a request, and say which process did."""
    client.record("requests", float(environ["PATH_INFO"].strip("/")))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
