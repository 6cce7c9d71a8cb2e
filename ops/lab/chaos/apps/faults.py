"""What happens to the collectors in a run."""

from collections.abc import Callable
from random import Random
from time import monotonic, sleep

from ops.lab.chaos.apps.site import Site
from ops.lab.chaos.faults.processes import Kill

Say = Callable[[str], None]


def one_at_a_time(site: Site, *, seconds: float, seed: int, say: Say) -> int:
    """Kill one collector, start it again, and so on; return how often that was done.

    Args:
        site: Whose collectors.
        seconds: How long to go on, and until there were as many faults as collectors.
        seed: Decides which one, and when.
        say: Tells a person.
    """
    random = Random(seed)  # noqa: S311
    kill = Kill(site.collectors)
    give_up = monotonic() + seconds
    faults = 0
    while faults < len(site.collectors) or monotonic() < give_up:
        _kill_one(site, kill, random, say)
        faults += 1
    return faults


def _kill_one(site: Site, kill: Kill, random: Random, say: Say) -> None:
    say(kill.inject(random))
    # Else the next one may be killed before this one is back, and then both are away.
    site.wait_for_collectors()


def all_away(site: Site, *, seconds: float, say: Say) -> int:
    """Kill all collectors, and start them again later; return how many there are.

    Args:
        site: Whose collectors.
        seconds: How long they are away.
        say: Tells a person.
    """
    for collector in site.collectors:
        collector.kill()
    say(f"all collectors are away for {seconds:g} s")
    sleep(seconds)
    for collector in site.collectors:
        collector.launch()
    site.wait_for_collectors()
    say("they are back")
    return len(site.collectors)
