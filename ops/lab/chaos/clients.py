"""Clients that write each batch into the ledger, and repeat it until they know its outcome."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from threading import Event, Lock, Thread
from time import gmtime, monotonic, strftime
from typing import Literal

from ops.lab.chaos.auditor import Auditor
from ops.lab.chaos.check import Comparison
from ops.lab.chaos.requests import Answer, CollectorConnection, Request
from ops.lab.chaos.system import ChaosSystem
from ops.lab.chaos.verdict import Finding, Say
from ops.lab.ledger import Ledger

Manner = Literal["plain", "losing every first answer", "to all collectors at once"]
"""How clients send what has an Idempotency-Key."""

CLIENTS = 6
KEYS_AT_ONCE = 6
"""Keys that a client sends at a time, each until it is full; they lie in several partitions."""

MESSAGES_PER_BATCH_MAX = 8
UNKEYED_SHARE = 0.2
"""Of the batches are sent without an Idempotency-Key, and never repeated."""

FOLDED_SHARE = 0.3
"""Of the batches are client aggregates, one for each key."""

PAUSE_S = 0.03
PAUSE_AFTER_FAILURE_S = 0.05


class Clients:
    """All clients of a run, the ledger of what they send, and somebody who reads the audit.

    Args:
        system: Where to send; any of its collectors will do.
        seed: Decides what is sent.

    Attributes:
        manner: How they send now.
        batches: How many were begun.
    """

    def __init__(self, system: ChaosSystem, seed: int) -> None:
        self.manner: Manner = "plain"
        self.batches = 0
        self._findings: list[Finding] = []
        self._ledger = Ledger()
        self._counted = 0
        self._auditor = Auditor(system.query)
        self.stopping = Event()
        self.leaving = Event()
        self._lock = Lock()
        self._clients = [
            Client(
                self,
                f"chaos.{i}",
                self._ledger,
                [collector.port for collector in system.collectors],
                Random(f"{seed} client {i}"),  # noqa: S311
            )
            for i in range(CLIENTS)
        ]

    def start(self) -> None:
        """Let them begin."""
        for thread in (self._auditor, *self._clients):
            thread.start()

    def progress(self) -> str:
        """Return how many batches were begun."""
        return f"{self.batches:6d} batches"

    def finish(self, timeout_s: float) -> list[Finding]:
        """Let each repeat what it has until it is known, and begin no more.

        Returns:
            The batches that nobody came to know enough of.
        """
        self.stopping.set()
        give_up = monotonic() + timeout_s
        for client in self._clients:
            client.join(max(0.0, give_up - monotonic()))
        stuck = [client for client in self._clients if client.is_alive()]
        self.leave()
        return [
            Finding(
                f"no 202 within {timeout_s:g} s after the faults; at last: {client.last.told}",
                client.batch,
            )
            for client in stuck
        ]

    def leave(self) -> None:
        """Let them go, whatever they have."""
        self.stopping.set()
        self.leaving.set()
        self._auditor.leave()

    def check(self, system: ChaosSystem, say: Say) -> Iterator[Finding]:
        """Yield each difference between the ledger and what is counted, now and after restarts."""
        comparison = Comparison(system, self._ledger, say)
        yield from comparison.findings()
        self._counted = comparison.counted
        say(f"the audit was read {self._auditor.answers} times on the way")
        yield from (*self._findings, *self._auditor.findings)

    def numbers(self) -> Mapping[str, int]:
        """Return how many messages were answered 202, and how many are in the hashes."""
        return {"accepted": self._ledger.counts()["1"], "counted": self._counted}

    def began(self) -> None:
        """Count a batch."""
        with self._lock:
            self.batches += 1

    def found(self, batch: str, answer: Answer) -> None:
        """Write down an answer that no client should get."""
        text = f"at {strftime('%T', gmtime())} UTC batch {batch} was answered {answer.told}"
        with self._lock:
            self._findings.append(Finding(text, batch))


class Client(Thread):
    """One app: it has one batch at a time.

    Args:
        clients: Say how to send, and until when.
        name: Its keys and batches begin with it.
        ledger: Where everything is written down.
        ports: Of the collectors.
        random: Decides what is sent, and where to.

    Attributes:
        batch: The id of its batch.
        last: The last answer to it.
    """

    def __init__(
        self,
        clients: Clients,
        name: str,
        ledger: Ledger,
        ports: Sequence[int],
        random: Random,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._all = clients
        self._ledger = ledger
        self._random = random
        self._connections = [CollectorConnection(port) for port in ports]
        self._keys: list[str] = []
        self._keys_made = 0
        self.batch = ""
        self.last = Answer("fail", "nothing was sent")

    def run(self) -> None:
        """Send batches until it is enough."""
        number = 0
        while not self._all.stopping.wait(PAUSE_S):
            number += 1
            self._all.began()
            self._send(number)

    def _send(self, number: int) -> None:
        is_keyed = self._random.random() >= UNKEYED_SHARE
        self.batch = f"{self.name}/{number}" if is_keyed else f"{self.name}/{number}-unkeyed"
        messages = self._ledger.open(self.batch, self._choose_keys())
        is_folded = self._random.random() < FOLDED_SHARE
        if is_keyed:
            self._send_until_known(Request.of(messages, self.batch, is_folded=is_folded))
        else:
            request = Request.of(messages, is_folded=is_folded)
            self._attempt(request, [self._random.choice(self._connections)])

    def _choose_keys(self) -> list[str]:
        """Return the keys of a batch's messages, each with room for a whole batch."""
        self._keys = [
            key for key in self._keys if self._ledger.room_of(key) >= MESSAGES_PER_BATCH_MAX
        ]
        while len(self._keys) < KEYS_AT_ONCE:
            self._keys_made += 1
            self._keys.append(f"{self.name}.{self._keys_made}")
        return self._random.choices(self._keys, k=self._random.randint(1, MESSAGES_PER_BATCH_MAX))

    def _send_until_known(self, request: Request) -> None:
        if self._all.manner == "losing every first answer":
            self._lose_answer(request)
        while not self._all.leaving.is_set():
            if self._all.manner == "to all collectors at once":
                is_known = self._attempt(request, self._connections)
            else:
                is_known = self._attempt(request, [self._random.choice(self._connections)])
            if is_known:
                return
            self._all.leaving.wait(PAUSE_AFTER_FAILURE_S)

    def _lose_answer(self, request: Request) -> None:
        attempt = self._ledger.about_to_send(self.batch)
        connection = self._random.choice(self._connections)
        connection.send(request)
        connection.hang_up()
        self._ledger.answered(attempt, "info")

    def _attempt(self, request: Request, connections: Sequence[CollectorConnection]) -> bool:
        """Send a request once on each connection; return whether there is no more to find out."""
        attempts = []
        for connection in connections:
            attempts.append((connection, self._ledger.about_to_send(self.batch)))
            connection.send(request)
        is_known = False
        for connection, attempt in attempts:
            self.last = answer = connection.answer(request)
            self._ledger.answered(attempt, answer.outcome)
            is_known = is_known or answer.is_wrong or answer.outcome == "ok"
            if answer.is_wrong:
                self._all.found(self.batch, answer)
        return is_known
