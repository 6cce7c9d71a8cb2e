"""Lets a delivery at an app's exit take as long as a busy machine needs for it."""

from metrics.client import client

client.EXIT_SECONDS = 60.0
