"""What becomes of lines: timings are recorded, others are counted, and losses reported."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metrics import statsd_line
from metrics.client.client import Client
from metrics.errors import InvalidMessageError
from metrics.message import DROPPED_MAX, parse_value
from metrics.statsd.names import Names

MESSAGES_MAX = 20_000
"""How many messages one piece of input may stand for: a sample rate makes many out of one line."""

FAULTS_MAX = 4_000
"""How many faults are looked at in one piece of input. What has more is no StatsD: the rest of its
lines is counted as unreadable."""

# What most clients send. All else is read by the grammar: blanks at the ends of a line, events.
_PLAIN = re.compile(r"([^:|\s_][^:|]*):([0-9]{1,20}(?:\.[0-9]{1,20})?)\|(?:ms|[hd])(?:\|#[^|]*)?")


@dataclass(slots=True)
class Counts:
    """What an agent did, since it began.

    Attributes:
        pieces: Datagrams and reads from streams.
        recorded: Messages that were given to the client.
        ignored: Lines of counters, gauges, sets, events and service checks.
        unreadable: Messages in lines that are no StatsD, or whose value is none.
        without_key: Messages whose name has no key, or one name too many.
        oversized: Messages of a piece that stands for too many.
        kernel_dropped: Datagrams that the kernel had no room for.
    """

    pieces: int = 0
    recorded: int = 0
    ignored: int = 0
    unreadable: int = 0
    without_key: int = 0
    oversized: int = 0
    kernel_dropped: int = 0


class Intake:
    """Takes lines of StatsD and gives their timings to a client.

    Args:
        client: Records them.
        names: Knows their keys.
        own_key: Of the agent: losses of which no other key is known are reported under it.
        warn: Called with a kind and a text when something should be looked at.

    Attributes:
        counts: What was done so far.
    """

    def __init__(
        self,
        client: Client,
        names: Names,
        *,
        own_key: str,
        warn: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        self._client = client
        self._record = client.record
        self._names = names
        self._known = names.known
        self._own_key = own_key
        self._warn = warn
        self._losses: Counter[str] = Counter()
        self._room = 0
        self._faults = 0
        self._warned: set[str] = set()
        self.counts = Counts()

    def take(self, piece: bytes | bytearray) -> None:
        """Take lines that came together."""
        counts = self.counts
        counts.pieces += 1
        self._room = MESSAGES_MAX
        self._faults = 0
        self._warned.clear()
        lines = piece.decode("utf-8", "replace").split("\n")
        for place, line in enumerate(lines):
            plain = _PLAIN.fullmatch(line)
            key = self._known.get(plain[1]) if plain else None
            if plain and key is None:
                key = self._names.key_of(plain[1])
            if plain and key and self._room:
                self._room -= 1
                counts.recorded += 1
                self._record(key, float(plain[2]))
            elif line and not line.isspace():
                self._take_line(line.strip())
                if self._faults > FAULTS_MAX:
                    self._give_up(lines[place + 1 :])
                    return

    def lose(self, messages: int, key: str | None = None) -> None:
        """Note that messages were lost, to be reported.

        Args:
            messages: How many.
            key: Theirs, if it is known.
        """
        self._losses[key or self._own_key] += messages

    def lose_line(self) -> None:
        """Note that a line was too long to be read."""
        self.counts.unreadable += 1
        self.lose(1)

    def lose_datagrams(self, dropped: int, place: str) -> None:
        """Note that the kernel dropped datagrams: as many messages at least.

        Args:
            dropped: How many.
            place: Where they came, for people.
        """
        self.counts.kernel_dropped += dropped
        self.lose(dropped)
        self._warn(
            "kernel",
            f"the kernel had no room for {dropped} datagrams at {place}; "
            "give it more with sysctl net.core.rmem_max=8388608, and start again",
        )

    def report(self) -> None:
        """Have the client report what was lost since the last time."""
        losses, self._losses = self._losses, Counter()
        for key, messages in losses.items():
            # What is beyond the bound is left for the next time.
            now = min(messages, DROPPED_MAX)
            self._client.report_dropped(key, now)
            if messages > now:
                self._losses[key] = messages - now

    def _give_up(self, lines: Sequence[str]) -> None:
        """Count lines as unreadable that nobody looks at."""
        messages = sum([1 for line in lines if line and not line.isspace()])
        self.counts.unreadable += messages
        self.lose(messages)

    def _fault(self, kind: str, text: Callable[[], str]) -> None:
        """Count a fault; say so once for a piece, since each text takes longer than its line."""
        self._faults += 1
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(kind, text())

    def _take_line(self, line: str) -> None:
        try:
            timing = statsd_line.parse(line)
        except InvalidMessageError as error:
            self._cannot_read(line.partition(":")[0], 1, error)
            return
        if timing is None:
            self.counts.ignored += 1
            return
        messages = len(timing.values) * timing.weight
        key = self._names.key_of(timing.key)
        if key is None:
            self.counts.without_key += messages
            self.lose(messages)
            self._fault("name", lambda: self._why_no_key(timing.key))
        elif messages > self._room:
            self.counts.oversized += messages
            self.lose(messages, key)
            self._fault("size", lambda: f"more than {MESSAGES_MAX} messages came at once")
        else:
            self._room -= messages
            self._take_values(key, timing)

    def _take_values(self, key: str, timing: statsd_line.Timing) -> None:
        for text in timing.values:
            try:
                value = parse_value(text)
            except InvalidMessageError as error:
                self._cannot_read(timing.key, timing.weight, error)
                continue
            self.counts.recorded += timing.weight
            for _ in range(timing.weight):
                self._record(key, value)

    def _cannot_read(self, name: str, messages: int, error: InvalidMessageError) -> None:
        self.counts.unreadable += messages
        # A name that was never good may be anything; it gets no key for this.
        self.lose(messages, self._known.get(name))
        self._fault("line", lambda: f"a line cannot be read: {error}")

    def _why_no_key(self, name: str) -> str:
        if self._names.is_full:
            return f"there are too many names, {len(self._known)}; {name[:80]!r} is left out"
        return f"no key can be made of the name {name[:80]!r}; see --map"
