"""Client aggregates as a sender without our library would make them."""

from collections import Counter
from collections.abc import Sequence

from metrics.buckets import bucket_of


def aggregate_of(values: Sequence[float]) -> dict[str, object]:
    """Return the client aggregate of values, as an object of JSON."""
    buckets = Counter(map(bucket_of, values))
    return {
        "count": len(values),
        "sum": float(sum(values)),
        "min": float(min(values)),
        "max": float(max(values)),
        "buckets": {str(bucket): count for bucket, count in sorted(buckets.items())},
    }
