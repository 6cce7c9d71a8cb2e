"""What a collector reads off a request: its body, whole and within bounds, and its headers."""

import hashlib
import re
import zlib
from contextlib import nullcontext

import falcon
import gevent

from api.collector.long_bodies import Place
from api.problems import Problem
from api.time_slices import TimeSlices, has_greenlets
from metrics.idempotency import IdempotencyKey

BODY_DEADLINE_S = 10.0
"""How long a body may take to come: a gevent worker has no deadline of its own."""

LITTLE_BYTES = 4096
"""What is no longer, and not packed, is little work whatever it holds."""

INFLATED_BYTES_MAX = 256 * 1024
"""How much is decompressed before others may go on."""

_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,128}")


def read_bytes(req: falcon.Request, bytes_max: int, slices: TimeSlices, place: Place) -> bytes:
    """Return the body of a request, decompressed; the work on it has begun then.

    Args:
        req: The request.
        bytes_max: How long it may be, before and after decompression.
        slices: In which it is worked on.
        place: Its place, which it takes if it is long.

    Raises:
        Problem: If it is too long, too slow, cut short, or not compressed as it says; or if too
            many long ones are read.
    """
    encoding = (req.get_header("Content-Encoding") or "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise Problem(
            falcon.HTTP_415,
            "Content-Encoding must be gzip, or none.",
            headers={"Accept-Encoding": "gzip"},
        )
    try:
        # Our server says when all of it is there: then there is nothing to wait for. One with
        # threads has deadlines of its own.
        waits = not getattr(req.env["wsgi.input"], "is_complete", False) and has_greenlets()
        with gevent.Timeout(BODY_DEADLINE_S) if waits else nullcontext():
            body = _read(req, bytes_max)
    except gevent.Timeout:
        raise Problem(
            falcon.HTTP_408, f"The body did not come within {BODY_DEADLINE_S:.0f} seconds."
        ) from None
    is_packed = encoding == "gzip"
    place.take_if_long(len(body))
    slices.start(is_little=not is_packed and len(body) <= LITTLE_BYTES)
    return _gunzip(body, bytes_max, slices, place) if is_packed else body


def idempotency_key_of(text: str | None, token_id: str, body: bytes) -> IdempotencyKey | None:
    """Return what makes a repetition of a request recognisable; None if it has no key for that.

    Args:
        text: Its Idempotency-Key header.
        token_id: Separates one token's requests from another's; empty if there are no tokens.
        body: Its body, decompressed.

    Raises:
        Problem: If its Idempotency-Key cannot be one.
    """
    if text is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(text):
        raise Problem(
            falcon.HTTP_400, "Idempotency-Key must be 1 to 128 printable ASCII characters."
        )
    body_digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    return IdempotencyKey(text, body_digest, token_id)


def _read(req: falcon.Request, bytes_max: int) -> bytes:
    length = req.content_length
    stream = req.env["wsgi.input"]
    try:
        if length is not None:
            if length > bytes_max:
                raise _too_large(bytes_max)
            body: bytes = stream.read(length)
        elif "chunked" in (req.get_header("Transfer-Encoding") or "").lower():
            body = stream.read(bytes_max + 1)
        else:
            return b""
    except OSError as error:
        raise _cut_short() from error
    if len(body) > bytes_max:
        raise _too_large(bytes_max)
    # The server hands over what came before the client went away as if it were all.
    if length is not None and len(body) != length:
        raise _cut_short()
    return body


def _gunzip(body: bytes, bytes_max: int, slices: TimeSlices, place: Place) -> bytes:
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    content = bytearray()
    compressed = body
    try:
        while compressed and not inflater.eof:
            content += inflater.decompress(compressed, INFLATED_BYTES_MAX)
            compressed = inflater.unconsumed_tail
            if len(content) > bytes_max:
                raise _too_large(bytes_max)
            place.take_if_long(len(content))
            slices.pause_if_due()
    except zlib.error as error:
        raise Problem(falcon.HTTP_400, f"The body is not gzip: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise Problem(falcon.HTTP_400, "The body is not one whole gzip member.")
    return bytes(content)


def _too_large(bytes_max: int) -> Problem:
    return Problem(
        falcon.HTTP_413, f"A body may have {bytes_max} bytes; send several smaller batches."
    )


def _cut_short() -> Problem:
    return Problem(falcon.HTTP_400, "The body is shorter than Content-Length says.")
