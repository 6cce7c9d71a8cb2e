"""These answers are those of all apps, whatever their framework."""

from collections.abc import Iterator
from pathlib import Path
from time import sleep

PAUSE_S = 0.2
"""How long a streamed answer pauses before each chunk."""

CHUNKS = (b"one ", b"two")

FILE = Path(__file__)


def streamed() -> Iterator[bytes]:
    """Yield the chunks of an answer, with a pause before each."""
    for chunk in CHUNKS:
        sleep(PAUSE_S)
        yield chunk


def fail() -> None:
    """Fail as apps do.

    Raises:
        LookupError: Always.
    """
    raise LookupError("the app's own")
