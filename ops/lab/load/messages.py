"""What is sent: messages of ten apps, with response times spread as in life."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KEYS = 10
MEDIAN_MS = 100.0
SIGMA = 1.0
"""Of the lognormal distribution: one response in a hundred takes ten times the median."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a body.

    Attributes:
        key: Its key.
        value: Milliseconds, as text.
        place: Its number among those of its key in this body, from 0.
    """

    key: str
    value: str
    place: int


def keys_of(app: str, count: int = KEYS) -> list[str]:
    """Return the keys of an app's instances."""
    return [f"{app}.web-{i}" for i in range(count)]


def response_times(count: int, seed: int, sigma: float = SIGMA) -> Sequence[float]:
    """Return response times in milliseconds, the same for the same seed."""
    random = np.random.default_rng(seed)
    times = random.lognormal(np.log(MEDIAN_MS), sigma, count).round(3)
    found: list[float] = np.maximum(times, 0.001).tolist()
    return found


def rows(keys: Sequence[str], count: int, seed: int) -> list[Message]:
    """Return messages of all keys in turns, beginning with the key that the seed says."""
    return [
        Message(keys[(seed + i) % len(keys)], f"{value:.3f}", i // len(keys))
        for i, value in enumerate(response_times(count, seed))
    ]


def column(keys: Sequence[str], count: int, seed: int) -> list[Message]:
    """Return messages of one key, which the seed says."""
    key = keys[seed % len(keys)]
    return [Message(key, f"{value:.3f}", i) for i, value in enumerate(response_times(count, seed))]


def json_object(messages: Sequence[Message]) -> str:
    """Return one message as our collector takes it."""
    (message,) = messages
    return f'{{"key":"{message.key}","value":{message.value}}}'


def json_array(messages: Sequence[Message]) -> str:
    """Return an array of messages as our collector takes it."""
    return "[" + ",".join(json_object([message]) for message in messages) + "]"


def json_columns(messages: Sequence[Message]) -> str:
    """Return messages of one key as our collector takes them."""
    values = ",".join(message.value for message in messages)
    return f'{{"key":"{messages[0].key}","values":[{values}]}}'
