"""Messages of the ledger as client aggregates: folded by their sender."""

import json
from collections.abc import Sequence
from typing import Any

from metrics.client.fold import Fold
from ops.lab.ledger import Message


def client_aggregates(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return one client aggregate for each key of some messages, as objects of JSON."""
    folds: dict[str, Fold] = {}
    for message in messages:
        folds.setdefault(message.key, Fold()).add([message.value])
    return [json.loads(fold.written(key)) for key, fold in folds.items()]
