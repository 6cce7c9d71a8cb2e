"""What happens to the collectors in a run."""

from collections.abc import Callable, Iterator
from random import Random
from time import monotonic, sleep

from ops.chaos.apps.site import Site
from ops.chaos.faults.processes import Kill

Say = Callable[[str], None]


def one_at_a_time(site: Site, *, seconds: float, seed: int, say: Say) -> int:
    """Kill one collector, start it again, and so on; return how often that was done.

    Args:
        site: Whose collectors.
        seconds: How long to go on.
        seed: Decides which one, and when.
        say: Tells a person.
    """
    random = Random(seed)  # noqa: S311
    kill = Kill(site.collectors)
    return sum(1 for _ in _until(seconds, lambda: _kill_one(site, kill, random, say)))


def _kill_one(site: Site, kill: Kill, random: Random, say: Say) -> None:
    say(kill.inject(random))
    # Else the next one may be killed before this one is back, and then both are away.
    site.wait_for_collectors()


def _until(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    give_up = monotonic() + seconds
    while monotonic() < give_up:
        act()
        yield


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
