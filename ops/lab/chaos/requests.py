"""A batch as a request to a collector, and what each answer says of it."""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops.lab.folded import client_aggregates
from ops.lab.ledger import Message, Outcome, outcome_of

ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt.

    Attributes:
        outcome: What it says of the messages.
        told: What came, for a person to read.
        is_wrong: Whether no client should ever get it.
    """

    outcome: Outcome
    told: str
    is_wrong: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, each time the same."""

    body: str
    headers: Mapping[str, str]
    messages: int

    @classmethod
    def of(
        cls, messages: Sequence[Message], idempotency_key: str = "", *, is_folded: bool = False
    ) -> "Request":
        """Return the request that carries messages, under a key if there is one.

        Args:
            messages: What it carries.
            idempotency_key: Its key; none if empty.
            is_folded: Whether their sender folds them into client aggregates.
        """
        headers = {"Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        rows = [[message.key, message.value] for message in messages]
        items = client_aggregates(messages) if is_folded else rows
        return cls(json.dumps(items), headers, len(messages))


class CollectorConnection:
    """A kept connection to a collector.

    It connects when first used, and again after a failure.

    Args:
        port: Where the collector listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
        self._failure: Answer | None = None

    def send(self, request: Request) -> None:
        """Send a request; whether that works, the answer tells."""
        self._failure = None
        try:
            self._connection.request("POST", "/messages", request.body, request.headers)
        except ConnectionRefusedError as error:
            self._fail(Answer("fail", f"nothing was sent: {error}"))
        except (OSError, http.client.HTTPException) as error:
            self._fail(Answer("info", f"sending failed: {error!r}"))

    def answer(self, request: Request) -> Answer:
        """Wait for the answer to what was sent."""
        if self._failure is not None:
            return self._failure
        try:
            response = self._connection.getresponse()
            return _answer(request, response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            answer = Answer("info", f"no answer: {error!r}")
            self._fail(answer)
            return answer

    def hang_up(self) -> None:
        """Leave without the answer."""
        self._connection.close()

    def _fail(self, answer: Answer) -> None:
        self._failure = answer
        self._connection.close()


def _answer(request: Request, status: int, body: bytes) -> Answer:
    told = f"{status} {body.decode(errors='replace')}"
    try:
        members = json.loads(body)
    except ValueError:
        return Answer("info", told, is_wrong=True)
    if status == http.client.ACCEPTED:
        is_whole = members == {"accepted": request.messages, "rejected": 0}
        return Answer("ok", told, is_wrong=not is_whole)
    outcome = outcome_of(status, members.get("stored"))
    return Answer(outcome, told, is_wrong=status != http.client.SERVICE_UNAVAILABLE)
