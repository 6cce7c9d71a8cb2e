"""Clients that repeat what they need not, or what others of them are sending just now."""

from dataclasses import dataclass
from random import Random
from time import sleep

from ops.lab.chaos.clients import Load, Manner

SECONDS = (0.5, 2.0)
"""How long clients behave so: least and most."""


@dataclass(frozen=True, slots=True)
class Behave:
    """Clients send in another manner for a while."""

    load: Load
    manner: Manner

    def inject(self, random: Random) -> str:
        """Let all clients change their manner, and change it back."""
        seconds, before = random.uniform(*SECONDS), self.load.batches
        self.load.manner = self.manner
        try:
            sleep(seconds)
        finally:
            self.load.manner = "plain"
        return f"{self.load.batches - before} batches sent in the manner: {self.manner}"
