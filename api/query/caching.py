"""Answers that a client may keep, or has already: ETag, 304 and Cache-Control.

Source:
    RFC 9110, section 13.1.2 (If-None-Match); RFC 9111, section 5.2.2.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import falcon
import msgspec

from api.query.formats import JSON, Format
from api.query.formats.table import Table
from metrics.bucket_rows import BucketRows

CACHED_SECONDS = 60
"""How long an answer may be kept: late messages may still come to an hour that is complete."""

KNOWN_LENGTH_MAX = 1024
"""How long an If-None-Match is that is looked at: falcon takes its time for each of its parts."""

# It changes while nothing else does: an older one is true as well.
_AS_OF = re.compile(rb'"as_of":"[^"]*"')


def send(
    req: falcon.Request,
    resp: falcon.Response,
    content: Mapping[str, object],
    *,
    is_complete: bool,
    is_open: bool,
    form: Format = JSON,
    table: Table | None = None,
    pause: Callable[[], None] = lambda: None,
) -> None:
    """Answer, or say 304 if the client has the answer already.

    Args:
        req: The request.
        resp: The response to fill.
        content: What is answered.
        is_complete: Whether it may be kept for a while.
        is_open: Whether everybody may have it.
        form: How it is written.
        table: The same for other forms than JSON.
        pause: Called between hours, of which some are long: others have a turn then.

    Raises:
        InvalidQueryError: If it cannot be written so.
    """
    digest = hashlib.blake2b(digest_size=12)
    data = _encoded(content, digest.update, pause)
    if table and form.write:
        digest.update(form.media_type.encode())
        data = form.write(table).encode()
    etag = falcon.ETag(digest.hexdigest())
    etag.is_weak = True
    resp.etag = etag.dumps()
    visibility = "public" if is_open else "private"
    resp.cache_control = (
        [visibility, f"max-age={CACHED_SECONDS}"] if is_complete else ["no-cache", "no-store"]
    )
    if is_known(req, etag):
        resp.status = falcon.HTTP_304
    else:
        resp.data = data
        resp.content_type = form.content_type


def is_known(req: falcon.Request, etag: str) -> bool:
    """Return whether a client has the answer with this ETag already, as far as it says so."""
    if len(req.get_header("If-None-Match") or "") > KNOWN_LENGTH_MAX:
        return False
    return any(known in ("*", etag) for known in req.if_none_match or ())


def _encoded(
    content: Mapping[str, object], look: Callable[[bytes], object], pause: Callable[[], None]
) -> bytes:
    """Return an answer as JSON, hour by hour, and show all of it but for its time."""
    hours = content.get("hours")
    written = []
    for hour in hours if isinstance(hours, Sequence) else ():
        data = _ENCODER.encode(hour)
        look(_AS_OF.sub(b"", data))
        written.append(msgspec.Raw(data))
        pause()
    look(_AS_OF.sub(b"", _ENCODER.encode({**content, "hours": None})))
    return _ENCODER.encode({**content, "hours": written} if written else content)


def _raw(value: object) -> msgspec.Raw:
    """Return what msgspec does not know as the JSON that it has ready.

    Raises:
        NotImplementedError: If it has none.
    """
    if isinstance(value, BucketRows):
        return msgspec.Raw(value.json())
    raise NotImplementedError(f"an answer cannot hold {type(value)}")


_ENCODER = msgspec.json.Encoder(enc_hook=_raw)
