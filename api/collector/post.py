"""What came with a request: how it is read, and what it may do."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from api.access import Grant
from api.collector.batch_builder import BatchBuilder
from api.collector.key_counts import NONE_REFUSED, Refusal
from api.collector.long_bodies import Place
from metrics.idempotency import IdempotencyKey


class Post(msgspec.Struct, frozen=True, gc=False):
    """What came with a request. A struct, as it is made in a tenth of a dataclass' time.

    Attributes:
        read: Gives its messages to a batch builder; called again where that is needed.
        grant: Which keys it may write.
        idempotency_key: Recognises a repetition.
        place: What it has, if it is long.
        refusal: Keys for which there is no room.
    """

    read: Callable[[BatchBuilder], None]
    grant: Grant
    idempotency_key: IdempotencyKey | None
    place: Place | None = None
    refusal: Refusal = NONE_REFUSED

    def without(self, refusal: Refusal) -> "Post":
        """Return the same request without the messages of some keys."""
        key = self.idempotency_key and self.idempotency_key.without(refusal.keys)
        return replace(self, idempotency_key=key, refusal=refusal)
