"""A load from a process of its own: ``Load`` starts it, and hears from it how it fares."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

from ops.lab.bench.sustained.posts import Form, keys_of
from ops.lab.latencies import Latencies
from ops.lab.service import ROOT
from ops.local.redis_server import end_with_parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent.

    Attributes:
        port: Where to, on 127.0.0.1.
        form: How messages are written.
        app: Of the keys; no two loads on one system may share it.
        keys: How many keys there are.
        hot: Share of the first of these, 0 to 1; None if all have the same.
        batch: Messages in a request.
        messages_per_s: How many become due; infinite for as many as are answered.
        connections: How many requests may be under way.
        seconds: For how long.
        tick_s: How often to tell how it fares.
    """

    port: int
    form: Form
    app: str
    keys: int
    hot: float | None = None
    batch: int
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
    """How it fares so far; all but the latencies since the beginning, in messages.

    Attributes:
        due: How many were to be sent.
        sent: How many were, each once however often it was repeated.
        accepted: How many were answered with 202, by what the answers say.
        statuses: Status -> requests that were answered with it.
        broken: Requests whose connection was closed on them.
        latencies: Of the requests that were accepted since the tick before, or in the last tick
            since the beginning; from when one was due. None if there were none.
        is_last: Whether all is answered that will be.
    """

    due: int
    sent: int
    accepted: int
    statuses: dict[int, int]
    broken: int
    latencies: Latencies | None
    is_last: bool = False

    @property
    def errors(self) -> int:
        """Requests that were not accepted, or not answered; most were sent again."""
        return self.broken + sum(n for status, n in self.statuses.items() if status // 100 != 2)

    @classmethod
    def parse(cls, printed: str) -> Self:
        """Read what the process prints."""
        told = json.loads(printed)
        latencies = told.pop("latencies")
        statuses = {int(status): n for status, n in told.pop("statuses").items()}
        return cls(
            **told, statuses=statuses, latencies=Latencies(**latencies) if latencies else None
        )


class Load:
    """The process that sends, for as long as the context lasts.

    It starts at once, and sends its first tick when it begins to send.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, plan: Plan) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops.lab.bench.sustained.sender", json.dumps(asdict(plan))],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ticks(self) -> Iterator[Tick]:
        """Yield each tick when it is told, until the last answer is there.

        Raises:
            RuntimeError: If it failed; it has told why.
        """
        yield from map(Tick.parse, self._process.stdout or ())
        if self._process.wait():
            raise RuntimeError("the sender of the benchmark has failed")
