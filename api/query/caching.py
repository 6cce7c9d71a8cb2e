"""Answers that a client may keep, or has already: ETag, 304 and Cache-Control.

Source:
    RFC 9110, section 13.1.2 (If-None-Match); RFC 9111, section 5.2.2.
"""

import hashlib
import re
from collections.abc import Mapping

import falcon
import msgspec

CACHED_SECONDS = 60
"""How long an answer may be kept: late messages may still come to an hour that is complete."""

# It changes while nothing else does: an older one is true as well.
_AS_OF = re.compile(rb'"as_of":"[^"]*"')


def send_json(
    req: falcon.Request,
    resp: falcon.Response,
    content: Mapping[str, object],
    *,
    is_complete: bool,
    is_open: bool,
) -> None:
    """Answer with JSON, or 304 if the client has it already.

    Args:
        req: The request.
        resp: The response to fill.
        content: What is answered.
        is_complete: Whether it may be kept for a while.
        is_open: Whether everybody may have it.
    """
    resp.data = msgspec.json.encode(content)
    etag = falcon.ETag(hashlib.blake2b(_AS_OF.sub(b"", resp.data), digest_size=12).hexdigest())
    etag.is_weak = True
    resp.etag = etag.dumps()
    visibility = "public" if is_open else "private"
    resp.cache_control = (
        [visibility, f"max-age={CACHED_SECONDS}"] if is_complete else ["no-cache", "no-store"]
    )
    if any(known in ("*", etag) for known in req.if_none_match or ()):
        resp.status = falcon.HTTP_304
        resp.data = None
