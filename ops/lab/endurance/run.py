"""One run: a trial, the load and what happens beside it, rest, and what is found out in it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from time import monotonic, sleep, time

from ops.lab.chaos.check import counted_by_key, read_hashes
from ops.lab.chaos.verdict import Say
from ops.lab.endurance.events import Events
from ops.lab.endurance.looks import look
from ops.lab.endurance.requests import BATCH
from ops.lab.endurance.sender import Orders
from ops.lab.endurance.verdict import History, Holds, Look, at_rest, left_behind, table
from ops.lab.ledger import NOTHING, Counted
from ops.lab.load.plan import Load, Tick
from ops.lab.quantiles import in_words
from ops.lab.watching import watched

SENDER = "ops.lab.endurance.sender"
LOOK_EVERY_S = 10.0
ROTATE_EVERY_S = 60.0
REST_TIMEOUT_S = 60.0
REST_EVERY_S = 3.0


class Run:
    """A system that is up, and what was found so far.

    Args:
        events: What can be done to it; nobody else uses it.
        folder: Where probes write.
        say: Shows a person how it goes.

    Attributes:
        requests: How many of each kind were sent.
        accepted: Messages of each key with a 202.
        complaints: What is wrong.
    """

    def __init__(self, events: Events, folder: Path, say: Say) -> None:
        self._events = events
        self._system = events.system
        self._folder = folder
        self._say = say
        self._history = History()
        self._before: dict[str, Holds] = {}
        self._after: dict[str, Holds] = {}
        self._sums: Counter[str] = Counter()
        self._once: set[str] = set()
        self._unknown = 0
        self.requests: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.complaints: list[str] = []

    def trial(self, orders: Orders) -> float:
        """Send as much as is answered; return how many messages/s, a bad request for a batch."""
        with Load(orders, SENDER) as load:
            tick = self._heard(load)
        self._enter(orders, tick)
        self._before = self._rest()
        return sum(tick.statuses.values()) / orders.seconds * BATCH

    def endure(self, orders: Orders) -> None:
        """Send for long, with events beside it; then let all come to rest, and compare."""
        watching = watched(self._note_look, LOOK_EVERY_S)
        with Load(orders, SENDER) as load, watching, ThreadPoolExecutor(1) as pool:
            heard = pool.submit(self._heard, load)
            self._do_events(orders.seconds)
            tick = heard.result()
        self._enter(orders, tick)
        self._say(
            f"sent {tick.sent:,} messages of about {tick.due:,}; POST {in_words(tick.took_ns)}; "
            f"{tick.broken} requests had no answer"
        )
        self._system.drain()
        self._after = self._rest()
        self.complaints += [
            *self._history.complaints(),
            *left_behind(self._before, self._after),
            *self._miscounted(Path(orders.token_files[1]).read_text("utf-8")),
        ]

    def table(self) -> str:
        """Return what each process held."""
        return table(self._history, self._before, self._after)

    def _do_events(self, seconds: float) -> None:
        begun, events = monotonic(), self._events
        rotations = [ROTATE_EVERY_S * i for i in range(1, int(seconds / ROTATE_EVERY_S))]
        due = [(at, events.rotate) for at in rotations]
        due += [(seconds / 6, events.restart), (seconds / 2, events.restart)]
        due += [(seconds / 3, events.fail_over)]
        for at, act in sorted(due, key=lambda each: each[0]):
            sleep(max(0.0, begun + at - monotonic()))
            done = act()
            self._say(f"{monotonic() - begun:6.0f} s  {done}")

    def _look(self) -> list[Look]:
        return look(self._system, self._events.cluster.nodes, self._folder)

    def _note_look(self) -> None:
        looks = self._look()
        self._history.add(looks)
        # Where it fails, somebody wants to see the curves.
        with (self._folder / "looks.jsonl").open("a", encoding="utf-8") as file:
            print(json.dumps([time(), *map(asdict, looks)]), file=file)

    def _heard(self, load: Load) -> Tick:
        ticks = load.ticks()
        last = next(ticks)
        for tick in ticks:
            if not tick.is_last:
                self._say(
                    f"          {tick.accepted:,} accepted, {tick.accepted - last.accepted:,} now; "
                    f"{tick.statuses}; POST {in_words(tick.took_ns)}"
                )
            last = tick
        return last

    def _enter(self, orders: Orders, tick: Tick) -> None:
        told = json.loads(Path(orders.ledger_file).read_text("utf-8"))
        for key, (count, total) in told["ledger"].items():
            self.accepted[key] += count
            self._sums[key] += total
        self._once |= set(orders.keys_once)
        self._unknown += told["unknown"]
        self.requests.update(told["kinds"])
        self.complaints += [f"{n} times answered {what}" for what, n in told["wrong"].items()]
        if missing := tick.sent - tick.accepted - told["unknown"]:
            self.complaints.append(f"{missing} messages were sent and have no 202")

    def _rest(self) -> dict[str, Holds]:
        """Return what all hold once nothing is given back any more."""
        before, give_up = at_rest(self._look()), monotonic() + REST_TIMEOUT_S
        while True:
            sleep(REST_EVERY_S)
            now = at_rest(self._look())
            if _sum(now) >= _sum(before) or monotonic() > give_up:
                return now
            before = now

    def _miscounted(self, token: str) -> Iterator[str]:
        """Yield what differs between the ledger, the hashes, the audit and the query service."""
        system = self._system
        hashes = counted_by_key(read_hashes(system.connection, system.partitions))
        extra = 0
        for key in self.accepted.keys() | hashes.keys():
            due, found = Counted(self._sums[key], self.accepted[key]), hashes.get(key, NOTHING)
            if key in self._once:
                extra += found.count - due.count
            elif found != due:
                yield f"{key}: {due} was accepted, {found} is in the hashes"
        if not 0 <= extra <= self._unknown:
            yield f"{extra} messages without an idempotency key were counted beyond those accepted"
        system.query_headers = {"Authorization": f"Bearer {token}"}
        books = {
            "hashes": sum(each.count for each in hashes.values()),
            "audit": sum(each.accepted for each in system.balanced_audit()),
            "query": system.counted(sorted(hashes)),
        }
        if len(set(books.values())) > 1:
            yield f"messages counted: {books}"
        self._say(
            f"accepted {self.accepted.total():,}, counted {books['hashes']:,}; no answer came for "
            f"{self._unknown:,} without an idempotency key, {extra:,} of them are counted"
        )


def _sum(found: Mapping[str, Holds]) -> float:
    measures = ("files", "greenlets", "clients")
    return sum(holds.get(each, 0.0) for holds in found.values() for each in measures)
