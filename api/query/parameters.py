"""What several questions have alike: the parameters of a URL, keys, and beginnings of keys."""

import re
from collections.abc import Mapping

from metrics.errors import InvalidMessageError, InvalidQueryError
from metrics.message import check_key, is_key, shown

LIMIT_MAX = 1000

_LIMIT = re.compile(r"\d{1,4}", re.ASCII)


def check_parameters(parameters: Mapping[str, object], *names: str) -> dict[str, str]:
    """Return the parameters of a URL.

    Args:
        parameters: What is given.
        names: What may be there, each once.

    Raises:
        InvalidQueryError: If one of them is there twice, or there is another.
    """
    given: dict[str, str] = {}
    for name, value in parameters.items():
        if name not in names:
            raise InvalidQueryError(f"parameters may be {', '.join(names)}, got {shown(name)}")
        if not isinstance(value, str):
            times = len(value) if isinstance(value, list) else 0
            raise InvalidQueryError(f"{name} must be there once, got {times}")
        given[name] = value
    return given


def limit_of(parameters: Mapping[str, str], default: int) -> int:
    """Return how many keys are asked for, as ``limit`` says.

    Raises:
        InvalidQueryError: If it is no number from 1 to ``LIMIT_MAX``.
    """
    limit = parameters.get("limit", str(default))
    if not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= LIMIT_MAX):
        raise InvalidQueryError(f"limit must be 1 to {LIMIT_MAX}, got {shown(limit)}")
    return int(limit)


def check_prefix(prefix: str) -> str:
    """Return the beginning of keys.

    Raises:
        InvalidQueryError: If no key begins so.
    """
    if prefix and not is_key(prefix):
        raise InvalidQueryError(
            "prefix must be empty or the beginning of a key, 1 to 128 characters of "
            f"A-Z a-z 0-9 . _ : - beginning with a letter or digit, got {shown(prefix)}"
        )
    return prefix


def check_asked_key(key: str) -> None:
    """See that a key that is asked for is one.

    Raises:
        InvalidQueryError: If it is none.
    """
    try:
        check_key(key)
    except InvalidMessageError as error:
        raise InvalidQueryError(str(error)) from error
