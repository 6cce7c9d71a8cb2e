"""The verdict of a run: one line, and a status."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Say = Callable[[str], None]
"""Shows a line to a person."""

IDS_MAX = 20
"""How many batches the line names; the file of the run has all."""

TEXTS_MAX = 5
"""And how many findings that concern no batch."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be.

    Attributes:
        text: What it is.
        batch: The batch that it concerns, if it concerns one.
    """

    text: str
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a run.

    Attributes:
        seed: Of the run.
        numbers: What the load says of itself, by name.
        faults: How many were injected.
        findings: What is not as it must be.
    """

    seed: int
    numbers: Mapping[str, int]
    faults: int
    findings: Sequence[Finding]

    @property
    def status(self) -> int:
        """The exit status."""
        return 1 if self.findings else 0

    def __str__(self) -> str:
        word = "FAIL" if self.findings else "PASS"
        numbers = {"seed": self.seed, **self.numbers, "faults": self.faults}
        line = " ".join([word, *(f"{name}={number}" for name, number in numbers.items())])
        return f"{line}: {self._ids()}" if self.findings else line

    def _ids(self) -> str:
        """Return the batches that are involved; without any, what there is instead."""
        ids = list(dict.fromkeys(each.batch for each in self.findings if each.batch))
        if not ids:
            texts = list(dict.fromkeys(each.text for each in self.findings))
            return "; ".join(texts[:TEXTS_MAX]) + _more(len(texts) - TEXTS_MAX)
        return ", ".join(ids[:IDS_MAX]) + _more(len(ids) - IDS_MAX)


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
