"""Conditions such as ``p99<300``: a statistic, how it compares, and a number."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

_CONDITION = re.compile(
    r"\s*([a-z][a-z0-9.]{0,330})\s*(<=|>=|<|>)\s*(\d{1,300}(?:\.\d{1,20})?)\s*", re.ASCII
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of a statistic.

    Attributes:
        stat: Its name, as the query service knows it.
        comparison: One of ``<``, ``<=``, ``>``, ``>=``.
        limit: What it is compared with.
        text: As it was written.
    """

    stat: str
    comparison: str
    limit: float
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the condition that is written so.

        Raises:
            ValueError: If it is none.
        """
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise ValueError(f"a condition is written 'p99<300' or 'count>=1', got {text!r}")
        return cls(found[1], found[2], float(found[3]), text.strip())

    def holds(self, value: float) -> bool:
        """Return whether it holds of a value."""
        return _COMPARE[self.comparison](value, self.limit)
