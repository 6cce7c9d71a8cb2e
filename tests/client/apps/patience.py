"""Read by an app: at its exit a delivery may take as long as a busy machine needs for it."""

from metrics.client import client

client.EXIT_SECONDS = 60.0
