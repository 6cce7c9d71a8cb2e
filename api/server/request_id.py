"""The id of a request: in its answer, in an error's body and in each line of the log about it."""

import random
import re
from binascii import hexlify
from collections.abc import Callable
from contextvars import ContextVar

HEADER = "HTTP_X_REQUEST_ID"
"""In an environ: what the client, or a proxy before us, calls the request."""

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class CurrentRequest:
    """What a connection answers just now.

    Attributes:
        id: Of the request.
    """

    __slots__ = ("id",)

    def __init__(self) -> None:
        self.id = b""


_current: ContextVar[CurrentRequest | None] = ContextVar("current_request", default=None)


def begin_requests() -> CurrentRequest:
    """Return where this greenlet writes the id of each request that it answers from now on."""
    current = CurrentRequest()
    _current.set(current)
    return current


def current_request_id() -> str:
    """Return the id of the request that is being answered here; empty if there is none."""
    current = _current.get()
    return current.id.decode() if current else ""


def named_request() -> dict[str, str]:
    """Return what the body of an error says of its request; nothing if there is none."""
    request_id = current_request_id()
    return {"request_id": request_id} if request_id else {}


def new_ids() -> Callable[[], bytes]:
    """Return what draws ids: of 64 bits, so no two of one log are the same.

    They are no secrets, and drawn for each message of an app that sends them one by one.
    """
    draw = random.Random().getrandbits  # noqa: S311
    return lambda: hexlify(draw(64).to_bytes(8, "big"))


def id_of(client_id: str | None, new_id: Callable[[], bytes]) -> bytes:
    """Return what a request is called: as its client says, if that can stand in a header and a log.

    Args:
        client_id: Its ``X-Request-Id``, if there is one.
        new_id: Draws another.
    """
    if client_id is not None and _SANE.fullmatch(client_id):
        return client_id.encode()
    return new_id()
