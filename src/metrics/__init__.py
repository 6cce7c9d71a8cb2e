"""Response-time metrics: messages in, one small hash per key and hour out.

What apps use stands here: the client, and its middleware.
"""

from metrics.client.asgi import ASGIMiddleware
from metrics.client.client import Client
from metrics.client.stats import Stats
from metrics.client.timer import Timer
from metrics.client.wsgi import WSGIMiddleware

__all__ = ["ASGIMiddleware", "Client", "Stats", "Timer", "WSGIMiddleware"]
