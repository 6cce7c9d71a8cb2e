"""What is answered of an hour, or of a whole period."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from metrics.accuracy import RELATIVE_ERROR
from metrics.statistic import Statistic
from metrics.store import Result


@dataclass(frozen=True, slots=True)
class Answer:
    """How results are answered.

    Attributes:
        statistic: What is asked for.
        is_of_prefix: Whether it is asked of all keys with a prefix.
        is_compared: Whether each result stands beside one that is earlier.
    """

    statistic: Statistic
    is_of_prefix: bool
    is_compared: bool

    def of(
        self, result: Result, before: Sequence[Result], *, is_complete: bool
    ) -> dict[str, object] | None:
        """Return what is answered, or None if there is nothing.

        Args:
            result: Of what is asked for.
            before: The earlier one; none if it is not compared, or if there is no such hour.
            is_complete: Whether all messages are in it.
        """
        aggregate = result.aggregate
        earlier = self._before(before)
        if not aggregate.count and not aggregate.dropped and earlier is None:
            return None
        statistic = self.statistic
        nothing = dict.fromkeys(statistic.names)
        return {
            **(statistic.members(aggregate) if aggregate.count else nothing),
            "count": aggregate.count,
            **({"dropped": aggregate.dropped} if aggregate.dropped else {}),
            **({"keys": len(result.keys)} if self.is_of_prefix else {}),
            "complete": is_complete,
            **({"late": aggregate.late} if aggregate.late else {}),
            "as_of": _written(result.as_of),
            **({"relative_error": RELATIVE_ERROR} if statistic.is_estimate else {}),
            **({"before": earlier} if self.is_compared else {}),
        }

    def _before(self, before: Sequence[Result]) -> object:
        """Return the value of an earlier result: a number; or an object, if it is many."""
        for result in before:
            aggregate = result.aggregate
            if aggregate.count:
                members = self.statistic.members(aggregate)
                return members.get("value", {**members, "count": aggregate.count})
        return None


@lru_cache(maxsize=16)
def _written(seconds: float) -> str:
    """Return a time as RFC 3339 writes it, in UTC."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"
