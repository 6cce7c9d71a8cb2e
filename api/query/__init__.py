"""The query service: answers what was measured over HTTP."""

from api.query.app import create_app, get_app

__all__ = ["create_app", "get_app"]
