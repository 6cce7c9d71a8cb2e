"""Each batch goes to Redis alone, in the thread of its request: for servers without greenlets."""

from collections.abc import Callable, Sequence
from typing import cast

from metrics.errors import MetricsError, StorageUnavailableError
from metrics.stream import Batch, Failures, Mark, Registration, failure_of


class SingleCommit:
    """Does what ``GroupCommit`` does where a request has a thread, which may wait for itself.

    Args:
        send: Sends items, as ``Appender.send`` does.
        partitions: How many there are.
        window_s: The dedupe window.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Batch | Registration]], Sequence[Failures | float | MetricsError]],
        *,
        partitions: int,
        window_s: int,
    ) -> None:
        self._send = send
        self._partitions = partitions
        self._window_s = window_s

    def register(self, mark: Mark, arrival: float, deadline: float) -> float:
        """Return when the first request under an idempotency key came, in Unix seconds.

        It is this one's arrival if the home of the key cannot be asked.

        Args:
            mark: The batch's.
            arrival: When this request came, in Unix seconds.
            deadline: Not needed: the way to Redis has time-outs of its own.

        Raises:
            IdempotencyConflictError: If it had another body.
        """
        registration = Registration(
            mark, arrival, partitions=self._partitions, window_s=self._window_s
        )
        try:
            return cast("float", self._outcome_of(registration))
        except StorageUnavailableError:
            return arrival

    def append(self, batch: Batch, deadline: float) -> None:
        """Append a batch; when this returns, Redis has it.

        Args:
            batch: What to append.
            deadline: Not needed: the way to Redis has time-outs of its own.

        Raises:
            PartlyStoredError: If some nodes have their part of it.
            MetricsError: If Redis does not have it, or may not.
        """
        failure = failure_of(batch, cast("Failures", self._outcome_of(batch)))
        if failure is not None:
            raise failure

    def _outcome_of(self, item: Batch | Registration) -> Failures | float:
        (outcome,) = self._send([item])
        if isinstance(outcome, MetricsError):
            raise outcome
        return outcome
