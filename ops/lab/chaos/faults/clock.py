"""The clock of one collector is wrong, and the hour turns under load."""

import os
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import sleep, time

from metrics.hours import Hour

OFF_S = (60.0, 600.0)
"""By how much the clock is off, one way or the other: least and most."""

BEFORE_TURN_S = 0.5
AFTER_TURN_S = 0.5


@dataclass(frozen=True, slots=True)
class PutClockOff:
    """A clock that jumps by minutes while the collector runs; it stays wrong."""

    clock: Path

    def inject(self, random: Random) -> str:
        """Put it off, before or after the time of the others."""
        offset_s = random.choice((-1, 1)) * random.uniform(*OFF_S)
        set_clock(self.clock, offset_s)
        return f"the clock of a collector is off by {offset_s:.0f} s"


@dataclass(frozen=True, slots=True)
class TurnHour:
    """The end of an hour, and the beginning of the next."""

    clock: Path

    def inject(self, random: Random) -> str:
        """Put the clock shortly before the end of its hour, and wait until that is over."""
        now = time()
        set_clock(self.clock, Hour.of(now).end - BEFORE_TURN_S - now)
        sleep(BEFORE_TURN_S + AFTER_TURN_S)
        return f"for a collector it became {(Hour.of(now).number + 1) % 24} o'clock"


def set_clock(clock: Path, offset_s: float) -> None:
    """Put the clock off that reads this file; in one step, as it may read it just now."""
    new = clock.with_name(f"{clock.name}.new")
    new.write_text(str(offset_s), "utf-8")
    os.replace(new, clock)
