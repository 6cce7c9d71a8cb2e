"""What one object or pair of JSON holds: messages, a loss report, or a client aggregate."""

from collections.abc import Iterable
from itertools import repeat

from api.collector.batch_builder import BatchBuilder
from metrics.errors import InvalidMessageError
from metrics.message import check_key, shown

_FIELDS = {"key", "value", "timestamp", "values", "timestamps", "dropped", "aggregate"}
_BESIDE = {"key", "timestamp"}
"""What may stand beside ``dropped`` or ``aggregate``."""


class _UnknownFieldError(InvalidMessageError):
    """A field that no message has."""

    def __str__(self) -> str:
        """Return which it is, and which there are."""
        return (
            f"unknown field {shown(self.args[0])}; "
            "known are key, value, timestamp, values, timestamps, dropped, aggregate"
        )


def add_item(item: object, builder: BatchBuilder) -> None:
    """Add what one JSON object or pair holds, or reject it."""
    if isinstance(item, list) and len(item) == 2:
        builder.add(item[0], item[1])
    elif not isinstance(item, dict):
        builder.reject(
            InvalidMessageError(
                'a message must be {"key":...,"value":...} or a pair ["key",value]', got=item
            )
        )
    elif unknown := next((name for name in item if name not in _FIELDS), None):
        builder.reject(_UnknownFieldError(unknown), messages_in(item))
    elif "aggregate" in item or "dropped" in item:
        _add_summed(item, builder)
    elif "values" in item:
        _add_column(item, builder)
    else:
        _add_message(item, builder)


def _add_message(item: dict[str, object], builder: BatchBuilder) -> None:
    if "timestamps" in item:
        builder.reject("timestamps stand beside values; beside value it is timestamp")
    elif "key" not in item or "value" not in item:
        builder.reject(f"a message must have {'value' if 'key' in item else 'key'}")
    elif "timestamp" in item and item["timestamp"] is None:
        builder.reject("timestamp must not be null; leave it out")
    else:
        builder.add(item["key"], item["value"], item.get("timestamp"))


def _add_summed(item: dict[str, object], builder: BatchBuilder) -> None:
    """Add a client aggregate or a loss report, or reject it."""
    name, what, add = (
        ("aggregate", "an aggregate", builder.add_aggregate)
        if "aggregate" in item
        else ("dropped", "a loss report", builder.add_report)
    )
    if item.keys() - _BESIDE - {name}:
        builder.reject(f"{name} stands beside key and timestamp only")
    elif "key" not in item:
        builder.reject(f"{what} must have key")
    elif "timestamp" in item and item["timestamp"] is None:
        builder.reject("timestamp must not be null; leave it out")
    else:
        add(item["key"], item[name], item.get("timestamp"))


def _add_column(item: dict[str, object], builder: BatchBuilder) -> None:
    values = item["values"]
    if not isinstance(values, list):
        builder.reject(InvalidMessageError("values must be an array of numbers", got=values))
        return
    timestamps = item.get("timestamps")
    if "value" in item or ("timestamp" in item and "timestamps" in item):
        builder.reject("values stand beside key and timestamps only", len(values))
        return
    if "timestamps" in item:
        if not isinstance(timestamps, list) or len(timestamps) != len(values):
            builder.reject("timestamps must be an array as long as values", max(len(values), 1))
            return
        if None in timestamps:
            builder.reject("timestamps must not be null", len(values))
            return
    try:
        # Once for all: what is wrong with either would have to be said again for each value.
        key, timestamp = check_key(item.get("key")), item.get("timestamp")
        time = None if timestamp is None else builder.times.check(timestamp)
    except InvalidMessageError as error:
        builder.reject(error, len(values))
        return
    times: Iterable[object] = timestamps if isinstance(timestamps, list) else repeat(time)
    for value, own in zip(values, times, strict=False):
        builder.add(key, value, own)


def messages_in(item: object) -> int:
    """Return how many messages are rejected with an item: the values of a column, else one."""
    values = item.get("values") if isinstance(item, dict) else None
    return len(values) if isinstance(values, list) and values else 1


def pieces_in(item: object) -> int:
    """Return how much work an item is: a message, or a bucket of an aggregate, is a piece."""
    aggregate = item.get("aggregate") if isinstance(item, dict) else None
    buckets = aggregate.get("buckets") if isinstance(aggregate, dict) else None
    return messages_in(item) + (len(buckets) if isinstance(buckets, dict) else 0)
