"""What a call costs: single ones by the clock, whose own cost is taken off, and many in a row."""

import time
from collections.abc import Callable
from itertools import repeat
from statistics import median
from time import perf_counter_ns

from ops.lab.latencies import Latencies

BURST = 10
"""Calls between two pauses."""

PAUSE_S = 0.0002
"""Long enough for other threads to have the interpreter."""

_CLOCK_CALLS = 20_000


def clock_ns() -> int:
    """Return what reading the clock twice takes, which is in every measurement of a call."""
    took = []
    for _ in range(_CLOCK_CALLS):
        begun = perf_counter_ns()
        took.append(perf_counter_ns() - begun)
    return int(median(took))


def one_after_the_other(
    call: Callable[..., object], arguments: tuple[object, ...], calls: int
) -> Latencies:
    """Measure calls while nothing else happens."""
    own = clock_ns()
    took = [0] * calls
    for number in range(calls):
        begun = perf_counter_ns()
        call(*arguments)
        took[number] = perf_counter_ns() - begun
    return Latencies.of(each - own for each in took)


def in_bursts(
    call: Callable[..., object],
    arguments: tuple[object, ...],
    calls: int,
    between: Callable[[], None],
) -> Latencies:
    """Measure calls in bursts, between which other threads run; as in an app that does its work.

    Args:
        call: What is measured.
        arguments: Of each call.
        calls: How many.
        between: Called in each pause.
    """
    own = clock_ns()
    took: list[int] = []
    while len(took) < calls:
        between()
        time.sleep(PAUSE_S)
        for _ in range(BURST):
            begun = perf_counter_ns()
            call(*arguments)
            took.append(perf_counter_ns() - begun)
    return Latencies.of(each - own for each in took)


def in_a_loop(call: Callable[..., object], arguments: tuple[object, ...], calls: int) -> float:
    """Return the nanoseconds a call takes in a loop that does nothing else, the loop with it."""
    begun = perf_counter_ns()
    for _ in repeat(None, calls):
        call(*arguments)
    return (perf_counter_ns() - begun) / calls
