"""Clients that repeat what they need not, or what others of them are sending just now."""

from random import Random
from time import sleep

from ops.lab.chaos.clients import Clients, Manner

SECONDS = (0.5, 2.0)
"""How long clients behave so: least and most."""


def behave(clients: Clients, manner: Manner, random: Random) -> str:
    """Let all clients send in another manner for a while."""
    seconds, before = random.uniform(*SECONDS), clients.batches
    clients.manner = manner
    try:
        sleep(seconds)
    finally:
        clients.manner = "plain"
    return f"{clients.batches - before} batches sent in the manner: {manner}"
