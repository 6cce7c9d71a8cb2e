"""A load from a process of its own: ``Load`` starts it, and hears from it how it fares."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

import msgspec

from ops.lab.load.messages import keys_of
from ops.lab.load.posts import Form
from ops.lab.quantiles import Quantiles
from ops.lab.service import ROOT
from ops.local.redis_server import end_with_parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent.

    Attributes:
        port: Where to, on 127.0.0.1.
        paths: What to ask a query service for, in turns; if there are any, nothing is posted.
        form: How messages are written.
        app: Of the keys; no two loads on one system may share it.
        keys: How many keys there are.
        hot: Share of the first of these, 0 to 1; None if all have the same.
        batch: Messages in a request.
        has_keys: Whether each request has an ``Idempotency-Key``, and is repeated until it has
            its 202.
        messages_per_s: How many become due; infinite for as many as are answered.
        connections: How many requests may be under way.
        seconds: For how long.
        tick_s: How often to say how it fares.
    """

    port: int
    paths: Sequence[str] = ()
    form: Form = "client"
    app: str = "app"
    keys: int = 10
    hot: float | None = None
    batch: int = 1
    has_keys: bool = True
    messages_per_s: float = inf
    connections: int = 16
    seconds: float
    tick_s: float = 10.0

    @property
    def key_names(self) -> list[str]:
        """Its keys; the hot one is the first."""
        return keys_of(self.app, self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """How it fares so far; all but the latencies since the beginning, in messages or queries.

    Attributes:
        due: How many were to be sent.
        sent: How many were, each once however often it was repeated.
        accepted: How many were answered with success, by what the answers say.
        statuses: Status -> requests that were answered with it.
        broken: Requests whose connection was closed on them.
        cpu_s: CPU seconds of the sender.
        took_ns: Of the requests that were accepted since the tick before, or in the last tick
            since the beginning; from when one was due. None if there were none.
        is_last: Whether all is answered that will be.
    """

    due: int
    sent: int
    accepted: int
    statuses: dict[int, int]
    broken: int = 0
    cpu_s: float = 0.0
    took_ns: Quantiles | None = None
    is_last: bool = False

    @property
    def errors(self) -> int:
        """Requests that had no success or no answer; with keys they were sent again."""
        return self.broken + sum(n for status, n in self.statuses.items() if status // 100 != 2)


class Load:
    """The process that sends, for as long as the context lasts.

    It starts at once, and prints its first tick when it begins to send.

    Args:
        plan: What is sent.
        sender: The module of its program.
    """

    def __init__(self, plan: Plan, sender: str = "ops.lab.load.sender") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", sender, json.dumps(asdict(plan))],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ticks(self) -> Iterator[Tick]:
        """Yield each tick when it comes, until the last answer is there.

        Raises:
            RuntimeError: If it failed; it has printed why.
        """
        for line in self._process.stdout or ():
            yield msgspec.json.decode(line, type=Tick)
        if self._process.wait():
            raise RuntimeError("the sender of the load has failed")

    def last(self) -> Tick:
        """Wait for its end, and return how it fared.

        Raises:
            RuntimeError: If it failed; it has printed why.
        """
        return list(self.ticks())[-1]
