"""The collector: takes messages over HTTP, and appends them to the streams."""

from api.collector.app import create_app, get_app

__all__ = ["create_app", "get_app"]
