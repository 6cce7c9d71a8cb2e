"""A few queries a second beside the load, as of people who look at their numbers."""

import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle
from time import perf_counter_ns, time

from metrics.hours import Hour
from ops.lab.bench.ingest.ours import path_of

ASK_EVERY_S = 0.2
ANSWER_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A query and its answer.

    Attributes:
        took_ns: How long it took.
        status: Of HTTP.
    """

    took_ns: int
    status: int

    @property
    def is_answer(self) -> bool:
        """Whether it is one: at the beginning of an hour there may be no messages yet."""
        return self.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}


class Asker:
    """Asks for the median of the current hour of one key after the other, on one connection.

    Args:
        port: Of the query service, on 127.0.0.1.
        keys: Whose medians to ask for.
    """

    def __init__(self, port: int, keys: Sequence[str]) -> None:
        self._keys = cycle(keys)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)

    def ask(self) -> Asked:
        """Ask for the next one."""
        path = f"/{next(self._keys)}/median/{path_of(Hour.of(time()))}"
        begun = perf_counter_ns()
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        response.read()
        return Asked(perf_counter_ns() - begun, response.status)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
