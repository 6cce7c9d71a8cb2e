"""A simulated client: it sends batches, and writes into the ledger what it learns of them."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from metrics.hours import Hour
from ops.lab.folded import client_aggregates
from ops.lab.ledger import Ledger, Message, outcome_of
from ops.lab.simulation.collector import Answer, Collector
from ops.lab.simulation.faults import ANSWER_LOST, GIVEN_UP
from ops.lab.simulation.losses import key_of, name_of
from ops.lab.simulation.node import Wire
from ops.lab.simulation.processes import NEVER, Process

KEYS = ("checkout.web-1", "checkout.web-2", "search.web-1", "search.web-2")
"""They lie in both of two partitions."""

BATCHES_MAX = 8
MESSAGES_MAX = 3
REPORTS_SHARE = 0.2
"""How many batches hold a loss report, too, perhaps nothing else."""

SPOILT_SHARE = 0.3
"""How many batches hold a message of a key whose hashes somebody may have spoilt."""

PATIENCE_STEPS_MAX = 40
KINDS = ("text", "pairs", "columns", "timestamps", "aggregates")
"""Of bodies; all but the first may hold loss reports."""

AGE_S_MAX = 7200
"""How old a message may be that has a timestamp."""

HOURS = frozenset({Hour.parse("2026-11-23T14"), Hour.parse("2026-11-23T15")})
"""Of the collectors' clocks during a schedule."""


class Client(Process):
    """A client; with Idempotency-Keys it repeats what it got no good answer to.

    Args:
        name: For the trace, and for its Idempotency-Keys.
        wire: Knows the time and the faults.
        ledger: What it sends, and how that was answered.
        collectors: Where to send; any of them will do.
        has_keys: Whether it sends Idempotency-Keys.
        spoilt_keys: Keys of which nobody expects anything.
        expect: Called with a message and the hours of which it may be.
        complain: Called with what no answer may say.

    Attributes:
        is_leaving: Whether it begins no more batches.
    """

    def __init__(
        self,
        name: str,
        wire: Wire,
        ledger: Ledger,
        collectors: Sequence[Collector],
        *,
        has_keys: bool,
        spoilt_keys: Sequence[str],
        expect: Callable[[Message, Collection[Hour]], None],
        complain: Callable[[str], None],
    ) -> None:
        super().__init__(wire.scheduler, name)
        self._wire = wire
        self._ledger = ledger
        self._collectors = collectors
        self._has_keys = has_keys
        self._spoilt_keys = spoilt_keys
        self._expect = expect
        self._complain = complain
        self.is_leaving = False

    @property
    def is_done(self) -> bool:
        """Whether it has nothing more to send."""
        return all(task.is_over for task in self.tasks)

    def boot(self) -> None:
        """Begin to send."""
        self.start(self._send_all)

    def _send_all(self) -> None:
        random = self._wire.random
        for number in range(BATCHES_MAX):
            if self.is_leaving:
                return
            batch = f"{self.name}/{number}"
            lost = [random.choice(KEYS)] if random.random() < REPORTS_SHARE else []
            keys = random.choices(KEYS, k=random.randint(0 if lost else 1, MESSAGES_MAX))
            opened = self._ledger.open(batch, [*keys, *map(name_of, lost)])
            messages = list(opened[: len(keys)])
            if random.random() < SPOILT_SHARE:
                messages.append(Message(random.choice(self._spoilt_keys), number))
            body, content_type = self._body_of(messages, opened[len(keys) :])
            headers = {"CONTENT_TYPE": content_type}
            if self._has_keys:
                headers["HTTP_IDEMPOTENCY_KEY"] = batch
            while not self._attempt(batch, body, headers, len(messages)):
                if not self._has_keys or self._wire.faults.of_request(GIVEN_UP):
                    break

    def _attempt(self, batch: str, body: bytes, headers: dict[str, str], messages: int) -> bool:
        """Send a batch once; return whether it is known to be stored."""
        collector = self._wire.random.choice(self._collectors)
        attempt = self._ledger.about_to_send(batch)
        request = collector.receive(body, headers)
        due = NEVER
        if self._wire.faults.of_request(ANSWER_LOST):
            due = self._wire.scheduler.steps + self._wire.random.randrange(PATIENCE_STEPS_MAX)
        self._wire.scheduler.wait_until(lambda: request.is_over, due)
        answer = None if due < NEVER else request.answer
        if answer is None:
            return False
        self._look_at(answer, batch, messages)
        outcome = outcome_of(answer.status, answer.content.get("stored"))
        self._ledger.answered(attempt, outcome)
        return outcome == "ok"

    def _look_at(self, answer: Answer, batch: str, messages: int) -> None:
        good = {"accepted": messages, "rejected": 0}
        if answer.status not in {202, 503} or (answer.status == 202 and answer.content != good):
            self._complain(f"{batch} was answered {answer.status} {answer.content}")

    def _body_of(
        self, messages: Sequence[Message], reports: Sequence[Message]
    ) -> tuple[bytes, str]:
        """Return messages and loss reports as a body of some type, and the type."""
        random = self._wire.random
        time = self._wire.scheduler.now - random.randrange(AGE_S_MAX)
        kind = random.choice(KINDS[1:] if reports else KINDS)
        for message in (*messages, *reports):
            self._expect(message, {Hour.of(time)} if kind == "timestamps" else HOURS)
        if kind == "text":
            lines = [f"{message.key},{message.value!r}" for message in messages]
            return "\n".join(lines).encode(), "text/plain"
        items: list[Any] = [[message.key, message.value] for message in messages]
        if kind == "columns":
            items = [{"key": message.key, "values": [message.value]} for message in messages]
        elif kind == "aggregates":
            items = client_aggregates(messages)
        elif kind == "timestamps":
            items = [{"key": m.key, "value": m.value, "timestamp": time} for m in messages]
        stamp = {"timestamp": time} if kind == "timestamps" else {}
        items += [{"key": key_of(m.key), "dropped": int(m.value), **stamp} for m in reports]
        return json.dumps(items).encode(), "application/json"
