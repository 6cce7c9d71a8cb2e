"""Somebody who asks for the audit again and again while everything around them is broken."""

import http.client
from threading import Event, Thread

from ops.lab.chaos.verdict import Finding
from ops.lab.service import Service

PAUSE_S = 0.1


class Auditor(Thread):
    """Asks ``GET /audit``; whenever it is answered, the audit must balance.

    Args:
        query: The query service; it may be away at times.

    Attributes:
        answers: How often it was told all audits.
        findings: Answers that should not be.
    """

    def __init__(self, query: Service) -> None:
        super().__init__(name="auditor", daemon=True)
        self._query = query
        self._leaving = Event()
        self.answers = 0
        self.findings: list[Finding] = []

    def run(self) -> None:
        """Ask until it is enough."""
        while not self._leaving.wait(PAUSE_S):
            try:
                answer = self._query.get("/audit")
            except (OSError, http.client.HTTPException):
                continue
            if answer.status == http.client.OK and answer.json["balance"] is not False:
                self.answers += answer.json["balance"] is True
            elif answer.status != http.client.SERVICE_UNAVAILABLE:
                self.findings.append(
                    Finding(f"GET /audit answered {answer.status} {answer.body.decode()}")
                )

    def leave(self) -> None:
        """Let it ask no more."""
        self._leaving.set()
