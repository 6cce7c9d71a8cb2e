"""``POST /messages``: a body is read, appended, and answered by what became of its messages."""

from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic
from typing import Any

import falcon
import msgspec

from api.access import EVERYTHING, Access, Grant
from api.collector.batch_builder import BatchBuilder
from api.collector.bodies import read_body
from api.collector.group_commit import GroupCommit
from api.collector.key_counts import NONE_REFUSED, Refusal
from api.collector.key_limit import RETRY_SOON_S, Keys, TooManyAtOnceError
from api.collector.long_bodies import LongBodies, Place
from api.collector.post import Post
from api.collector.rejection import NEW_KEY, shown_errors
from api.collector.request_body import idempotency_key_of, read_bytes
from api.collector.series import MessageSeries
from api.problems import Problem, Problems, unavailable
from api.time_slices import TimeSlices
from metrics.errors import MetricsError, PartlyStoredError
from metrics.idempotency import IdempotencyKey
from metrics.keyspace import partition_of
from metrics.stream import Batch

ANSWER_DEADLINE_S = 2.0
"""How long a request waits for Redis before it is answered 503."""


class Messages:
    """``/messages``: takes what apps measured.

    Args:
        commit: Appends the batches.
        access: Who may write which keys.
        series: Counts the messages.
        keys: Knows keys, and lets new ones in.
        partitions: How many there are.
        retention_days: How old a timestamp may be.
        body_max_bytes: How long a body may be, before and after decompression.
        now: The clock that gives a message its hour, in Unix seconds.
        slices: In which bodies are worked on.

    Attributes:
        long_bodies: The places for long bodies.
    """

    def __init__(
        self,
        commit: GroupCommit,
        *,
        access: Access,
        series: MessageSeries,
        keys: Keys,
        partitions: int,
        retention_days: int,
        body_max_bytes: int,
        now: Callable[[], float],
        slices: TimeSlices,
    ) -> None:
        self._commit = commit
        self._access = access
        self._series = series
        self._keys = keys
        self._partitions = partitions
        self._retention_days = retention_days
        self._body_max_bytes = body_max_bytes
        self._now = now
        self._slices = slices
        self.long_bodies = LongBodies()

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Append the messages of the body; answer 202 once Redis has them.

        Raises:
            falcon.HTTPError: If the request is at fault.
            MetricsError: If Redis is.
        """
        grant = self._access.grant(req)
        with self.long_bodies.place() as place:
            body = self.body_of(req, place)
            idempotency_key = idempotency_key_of(
                req.get_header("Idempotency-Key"), grant.token_id, body
            )
            read = partial(read_body, req.content_type, body)
            self.take(Post(read, grant, idempotency_key, place), resp)

    def body_of(self, req: falcon.Request, place: Place) -> bytes:
        """Return the body of a request, as ``read_bytes`` does; see there."""
        return read_bytes(req, self._body_max_bytes, self._slices, place)

    def pause_if_due(self) -> None:
        """Let other requests go on, if the work of this one has taken its time."""
        self._slices.pause_if_due()

    def take(
        self,
        post: Post,
        resp: falcon.Response,
        *,
        until: float = inf,
        needs_messages: bool = True,
    ) -> None:
        """Append the messages of a request; answer 202 once Redis has them.

        Args:
            post: The request.
            resp: Its answer.
            until: When to wait no longer for Redis, on the monotonic clock; sooner if not given.
            needs_messages: Whether one without any is at fault.

        Raises:
            Problem: If the request is at fault.
            MetricsError: If Redis is.
        """
        arrival = self._now()
        builder = self._read(post, arrival)
        refusal = self._let_in(builder, post.place)
        if refusal.keys:
            # Read once more, as it is rare: what is well keeps no index of each message.
            post = post.without(refusal)
            builder = self._read(post, arrival)
        if post.idempotency_key is not None:
            first = self._commit.reserve(
                post.idempotency_key,
                arrival,
                min(until, monotonic() + ANSWER_DEADLINE_S),
                only_look=not _has_good(builder),
            )
            if first != arrival:
                # Read as the first time: the same hours, the same messages good and bad.
                arrival = first
                builder = self._read(post, arrival)
        if not _has_good(builder):
            if builder.rejected or (needs_messages and not builder.ignored):
                raise self._nothing_good(builder, post.refusal)
            self._count(builder)
            _accept(builder, resp)
            return
        try:
            batch = Batch(builder.columns(self._partitions), post.idempotency_key)
            if post.place is not None:
                # From here on the queue of its node bounds what waits.
                post.place.leave()
            # From here on, so that a body that took long to read still has its time for Redis.
            self._commit.append(batch, min(until, monotonic() + ANSWER_DEADLINE_S))
        except PartlyStoredError as error:
            raise self._partly_stored(post, arrival, error) from error
        self._count(builder)
        _accept(builder, resp)

    def _let_in(self, builder: BatchBuilder, place: Place | None) -> Refusal:
        """Let the new keys of a request in; return those for which there is no room.

        It rests meanwhile: it may wait for long, and others need not.

        Raises:
            Problem: If too many come at once.
        """
        unknown = builder.keys(self._keys.is_unknown)
        if not unknown:
            return NONE_REFUSED
        if place is not None:
            place.rest()
        try:
            return self._keys.let_in(unknown)
        except TooManyAtOnceError as error:
            headers = {"Retry-After": str(RETRY_SOON_S)}
            raise Problem(falcon.HTTP_429, str(error), headers=headers, stored="no") from error

    def failed(
        self,
        problems: Problems,
        body: bytes,
        grant: Grant,
        idempotency_key: IdempotencyKey | None,
        arrival: float,
        error: MetricsError,
    ) -> Problem:
        """Return the answer to a plain body that Redis did not take.

        Raises:
            MetricsError: That error, if it has no answer of its own.
        """
        if isinstance(error, PartlyStoredError):
            read = partial(read_body, "application/json", body)
            return self._partly_stored(Post(read, grant, idempotency_key), arrival, error)
        problem = problems.of(error)
        if problem is None:
            raise error
        return problem

    def _partly_stored(self, post: Post, arrival: float, error: PartlyStoredError) -> Problem:
        """Return the answer that says what is stored and what is not, loss reports included."""
        # Read once more, as it is rare: what is well keeps no index of each message.
        builder = self._read(
            post, arrival, lambda key: partition_of(key, self._partitions) in error.partitions
        )
        self._count(builder)
        again = "the same body under the same Idempotency-Key" if post.idempotency_key else "those"
        good = builder.accepted + builder.reports + builder.left_out
        return unavailable(
            f"{builder.left_out} of {good} good messages and loss reports are not stored, "
            f"or may not be: {error.public}. Send {again} again.",
            stored=error.stored,
            **_counts(builder),
            retryable=builder.left_out,
            errors=shown_errors(builder.errors),
        )

    def builder(
        self,
        arrival: float,
        may_write: Callable[[str], bool] = EVERYTHING.covers,
        is_left_out: Callable[[str], bool] | None = None,
        refusal: Refusal = NONE_REFUSED,
        pause_if_due: Callable[[], None] = lambda: None,
    ) -> BatchBuilder:
        """Return the empty builder of a request; see there."""
        return BatchBuilder(
            arrival=arrival,
            retention_days=self._retention_days,
            may_write=may_write,
            is_left_out=is_left_out,
            refusal=refusal,
            pause_if_due=pause_if_due,
        )

    def _read(
        self, post: Post, arrival: float, is_left_out: Callable[[str], bool] | None = None
    ) -> BatchBuilder:
        builder = self.builder(
            arrival, post.grant.covers, is_left_out, post.refusal, self.pause_if_due
        )
        post.read(builder)
        return builder

    def _nothing_good(self, builder: BatchBuilder, refusal: Refusal) -> Problem:
        """Return the answer to a request that has nothing to append."""
        self._count(builder)
        if builder.reasons[NEW_KEY]:
            return Problem(
                falcon.HTTP_429,
                builder.errors[0].detail,
                headers={"Retry-After": str(refusal.retry_s)},
                stored="no",
                **_counts(builder),
                errors=shown_errors(builder.errors),
            )
        forbidden = builder.rejected > 0 and builder.forbidden == builder.rejected
        return Problem(
            falcon.HTTP_403 if forbidden else falcon.HTTP_400,
            builder.errors[0].detail if builder.errors else "The body has no messages.",
            **_counts(builder),
            errors=shown_errors(builder.errors),
        )

    def _count(self, builder: BatchBuilder) -> None:
        self._series.count(builder.accepted, dropped=builder.dropped, rejected=builder.reasons)


def _has_good(builder: BatchBuilder) -> bool:
    """Return whether a request has anything to append."""
    return bool(builder.accepted or builder.reports)


def _accept(builder: BatchBuilder, resp: falcon.Response) -> None:
    """Say what was taken and what was not."""
    errors = {"errors": shown_errors(builder.errors)} if builder.errors else {}
    resp.status = falcon.HTTP_202
    resp.data = msgspec.json.encode({**_counts(builder), **errors})


def _counts(builder: BatchBuilder) -> dict[str, Any]:
    """Return how many messages were good and bad and, if there were any, how many lines neither."""
    ignored = {"ignored": builder.ignored} if builder.ignored else {}
    return {"accepted": builder.accepted, "rejected": builder.rejected, **ignored}
