"""Errors as JSON, in the one shape in which every process of ours answers them.

Source:
    RFC 9457, "Problem Details for HTTP APIs".
"""

from http import HTTPStatus

import msgspec

PROBLEM_JSON = "application/problem+json"
"""Its media type."""


def problem_json(status: int, detail: str, **members: object) -> bytes:
    """Return the body of an error.

    Args:
        status: Of the answer.
        detail: What is wrong, for people.
        members: What a program may want to know of it.
    """
    title = HTTPStatus(status).phrase
    return msgspec.json.encode({"title": title, "status": status, "detail": detail, **members})
