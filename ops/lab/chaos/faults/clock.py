"""The clock of one collector is wrong, and the hour turns under load."""

import os
from pathlib import Path
from random import Random
from time import sleep, time

from metrics.hours import Hour

OFF_S = (60.0, 600.0)
"""By how much the clock is off, one way or the other: least and most."""

BEFORE_TURN_S = 0.5
AFTER_TURN_S = 0.5


def put_clock_off(clock: Path, random: Random) -> str:
    """Let a clock jump by minutes while its collector runs; it stays wrong."""
    offset_s = random.choice((-1, 1)) * random.uniform(*OFF_S)
    set_clock(clock, offset_s)
    return f"the clock of a collector is off by {offset_s:.0f} s"


def turn_hour(clock: Path, random: Random) -> str:
    """Put a clock shortly before the end of its hour, and wait until that is over."""
    del random
    now = time()
    set_clock(clock, Hour.of(now).end - BEFORE_TURN_S - now)
    sleep(BEFORE_TURN_S + AFTER_TURN_S)
    return f"for a collector it became {(Hour.of(now).number + 1) % 24} o'clock"


def set_clock(clock: Path, offset_s: float) -> None:
    """Put the clock off that reads this file; in one step, as it may read it just now."""
    new = clock.with_name(f"{clock.name}.new")
    new.write_text(str(offset_s), "utf-8")
    os.replace(new, clock)
