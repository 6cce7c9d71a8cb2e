"""Traffic: how many messages of how many keys come in, and in which requests."""

from dataclasses import dataclass
from typing import Literal

from ops.lab.scale.spread import buckets_in

Way = Literal["single", "columns", "client", "aggregate"]
"""How messages are sent: a request for each; as ``ops.lab.bench.ingest`` sends columns of 1,000;
by our client library; or folded by the client into one histogram a second and key."""

MEASURED_BATCH = 1000

FLUSH_S = 1.0
BATCH_MAX = 1000
"""Of our client library, if nothing else is set."""

NUMBERS_OF_BUCKET = 2
"""An aggregate is taken to cost what a batch does with two values for each of its buckets."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes in. Each key is one app instance, and all have the same rate.

    Attributes:
        rate: Messages per second, of all keys together.
        keys: How many keys.
        way: How they are sent.
    """

    rate: float
    keys: int
    way: Way

    @property
    def requests_per_s(self) -> float:
        """Requests of all senders together."""
        if self.way == "single":
            return self.rate
        if self.way == "columns":
            return self.rate / MEASURED_BATCH
        # A client sends when its values are a second old; one that has nothing sends nothing.
        flushes = min(self.rate, self.keys / FLUSH_S)
        return flushes if self.way == "aggregate" else max(flushes, self.rate / BATCH_MAX)

    @property
    def messages_per_request(self) -> float:
        """Messages that a request stands for."""
        return self.rate / self.requests_per_s

    @property
    def values_per_s(self) -> float:
        """Numbers that are written, sent and read; one a message, unless they are aggregates."""
        if self.way != "aggregate":
            return self.rate
        buckets = buckets_in(self.messages_per_request)
        return self.requests_per_s * NUMBERS_OF_BUCKET * buckets

    @property
    def is_marked(self) -> bool:
        """Whether each request has an idempotency key."""
        return self.way in ("client", "aggregate")

    @property
    def shape(self) -> str:
        """The shape whose measured figures stand for it."""
        return "client" if self.way == "aggregate" else self.way
