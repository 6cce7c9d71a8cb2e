"""``GET /<prefix>*/keys/<hours>``: which keys the messages of some hours and values come from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import falcon
import msgspec

from api.access import Access
from api.problems import Problem
from api.query.parameters import check_parameters, check_prefix, limit_of
from api.time_slices import TimeSlices
from metrics.accuracy import RELATIVE_ERROR
from metrics.errors import InvalidQueryError
from metrics.hours import Hour
from metrics.merged import Merger
from metrics.period import DAYS_MAX
from metrics.shown import shown
from metrics.store import WILDCARD, Store

LIMIT = 20

HOURS_MAX = DAYS_MAX * 24

_RANGE_DOTS = ".."


@dataclass(frozen=True, slots=True)
class Region:
    """Hours and values.

    Attributes:
        first: The first hour.
        last: The last hour.
        over: Values are above this; None for no such limit.
        upto: Values are at most this; None for no such limit.
        limit: How many keys are answered.
    """

    first: Hour
    last: Hour
    over: float | None
    upto: float | None
    limit: int

    @classmethod
    def parse(cls, hours: str, parameters: dict[str, str]) -> Self:
        """Return the region that is written so.

        Args:
            hours: ``2026-11-23T14``, or two with ``..`` between them.
            parameters: ``over``, ``upto`` and ``limit``, if they are there.

        Raises:
            InvalidQueryError: If it is none; the text says what is allowed.
        """
        first, dots, last = hours.partition(_RANGE_DOTS)
        from_hour = Hour.parse(first)
        to_hour = Hour.parse(last) if dots else from_hour
        count = to_hour.number - from_hour.number + 1
        if not 1 <= count <= HOURS_MAX:
            raise InvalidQueryError(
                f"hours must be 1 to {HOURS_MAX}, from one to a later one, got {count}"
            )
        over, upto = _value("over", parameters), _value("upto", parameters)
        if over is not None and upto is not None and over >= upto:
            raise InvalidQueryError(f"over must be below upto, got {over:g} and {upto:g}")
        return cls(from_hour, to_hour, over, upto, limit_of(parameters, LIMIT))

    @property
    def hours(self) -> list[Hour]:
        """The hours, from the first to the last."""
        return [Hour(number) for number in range(self.first.number, self.last.number + 1)]

    def count(self, merger: Merger) -> tuple[int, int]:
        """Return how many of the messages have its values, and how many messages there are.

        A bucket counts as the number that stands for it, as in shares.
        """
        aggregate = merger.merged()
        count_at_most = aggregate.histogram.count_at_most
        most = aggregate.count if self.upto is None else count_at_most(self.upto)
        least = 0 if self.over is None else count_at_most(self.over)
        return most - least, aggregate.count


class Origins:
    """Which keys with a prefix have most of the messages of a region: which instance is it?

    Args:
        store: Where the key-hours are.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
        slices: In which it works.
    """

    def __init__(
        self,
        store: Store,
        *,
        access: Access,
        ensure_layout: Callable[[], None],
        slices: TimeSlices,
    ) -> None:
        self._store = store
        self._access = access
        self._ensure_layout = ensure_layout
        self._slices = slices

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str, hours: str) -> None:
        """Answer with the keys that have most of the messages, and how many each has.

        Raises:
            falcon.HTTPError: If the request may not ask this.
            MetricsError: If there is no answer.
        """
        grant = self._access.grant(req)
        if not key.endswith(WILDCARD):
            raise InvalidQueryError(
                f"ask for the keys of a prefix, with * at its end, got {shown(key)}"
            )
        prefix = check_prefix(key.removesuffix(WILDCARD))
        region = Region.parse(hours, check_parameters(req.params, "over", "upto", "limit"))
        if not grant.covers(prefix):
            raise Problem(falcon.HTTP_403, f"this token may not read all keys {key}")
        self._ensure_layout()
        found = []
        by_key = self._store.read_by_key(key, region.hours)
        self._slices.start()
        for each, merger in by_key.items():
            found.append((each, *region.count(merger)))
            self._slices.pause_if_due()
        resp.data = msgspec.json.encode({"key": key, **_content(region, found)})
        resp.cache_control = ["no-cache", "no-store"]

    on_head = on_get


def _content(region: Region, found: Sequence[tuple[str, int, int]]) -> dict[str, object]:
    most = sorted((each for each in found if each[1]), key=lambda each: (-each[1], each[0]))
    limits = {"over": region.over, "upto": region.upto}
    return {
        "from": str(region.first),
        "to": str(region.last),
        **{name: value for name, value in limits.items() if value is not None},
        "count": sum(count for _, count, _ in found),
        "of": sum(of for _, _, of in found),
        "relative_error": RELATIVE_ERROR,
        "keys": [{"key": key, "count": count, "of": of} for key, count, of in most[: region.limit]],
    }


def _value(name: str, parameters: dict[str, str]) -> float | None:
    text = parameters.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InvalidQueryError(f"{name} must be a number, 0 or more, got {shown(text)}")
    return value
