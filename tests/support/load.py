"""These clients repeat until they have an answer, and the audit must match them."""

import http.client
import json
import threading
from time import sleep

from metrics.connection import Connection
from ops.lab.service import Service
from ops.local.waiting import wait_until
from tests.support.streams import audit_of

PAUSE_S = 0.01
"""Between two requests of a client: what is broken meanwhile takes seconds, and needs the cores."""


class Load:
    """Clients that send numbered batches, each under its Idempotency-Key until it is a 202."""

    def __init__(self, collector: Service, clients: int = 4) -> None:
        self._collector = collector
        self._stopping = threading.Event()
        self.messages = 0
        self.strange: list[int] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(clients)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        assert not self.strange, "only 202 and 503 are answers to a good batch"

    def wait_for(self, more: int) -> None:
        """Wait until that many more messages were accepted."""
        enough = self.messages + more
        wait_until(lambda: self.messages >= enough)

    def _send(self, client: int) -> None:
        number = 0
        while not self._stopping.wait(PAUSE_S):
            body = json.dumps([[f"app.web-{i}", float(number + 1)] for i in range(5)])
            while not self._is_taken(body, f"{client}-{number}"):
                sleep(PAUSE_S)
            number += 1
            with self._lock:
                self.messages += 5

    def _is_taken(self, body: str, idempotency_key: str) -> bool:
        try:
            status = self._collector.post(body, Idempotency_Key=idempotency_key).status
        except (OSError, http.client.HTTPException):  # an answer that was cut off is none
            return False
        if status not in (202, 503):
            self.strange.append(status)
        return status == 202


def audits_of_all(redis: Connection) -> dict[str, int]:
    """Return the audit of all partitions, added up."""
    total: dict[str, int] = {}
    for number in range(16):
        for name, value in audit_of(redis, number).items():
            total[name] = total.get(name, 0) + value
    return total


def assert_everything_counts_once(redis: Connection, messages: int) -> None:
    """Check that the backlog drains, and that the audit has what was accepted."""
    wait_until(lambda: audits_of_all(redis)["length"] == 0)
    audit = audits_of_all(redis)
    assert audit["accepted"] == audit["applied"] == messages
    assert audit["appended"] == audit["committed"]
