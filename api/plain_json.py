"""The fast way for the plain JSON bodies that nearly all clients send.

Decoded straight into their shape, grouped by key, and checked a key at a time. Whatever is not
plain, or not good, is left to ``api.bodies``, which looks at each message and can say what is
wrong; so this must never take what that would not.
"""

import msgspec

from api.draft import Draft
from metrics.message import is_key


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: float


class _Object(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: float | msgspec.UnsetType = msgspec.UNSET
    values: list[float] | msgspec.UnsetType = msgspec.UNSET


_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_object = msgspec.json.Decoder(_Object).decode


def read(body: bytes, draft: Draft) -> bool:
    """Put the messages of a JSON body into a draft, if they are plain and all of them are good.

    Returns:
        Whether it was done; otherwise the draft is as it was.
    """
    try:
        columns = _rows(body) if body.lstrip()[:1] == b"[" else _object(body)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return False
    for key, values in columns.items():
        if not (values and is_key(key) and draft.takes(key) and min(values) >= 0):
            return False
    for key, values in columns.items():
        draft.add_checked(key, values)
    return bool(columns)


def _rows(body: bytes) -> dict[str, list[float]]:
    columns: dict[str, list[float]] = {}
    for row in _decode_rows(body):
        column = columns.get(row.key)
        if column is None:
            columns[row.key] = [row.value]
        else:
            column.append(row.value)
    return columns


def _object(body: bytes) -> dict[str, list[float]]:
    found = _decode_object(body)
    if isinstance(found.value, float):
        return {} if isinstance(found.values, list) else {found.key: [found.value]}
    return {found.key: found.values} if isinstance(found.values, list) else {}
