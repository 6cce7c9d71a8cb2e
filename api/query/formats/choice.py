"""Which form a client asks for.

Source:
    RFC 9110, section 12.5.1 (Accept).
"""

from collections.abc import Callable
from dataclasses import dataclass

import falcon
from falcon import mediatypes

from api.query.formats.csv import write_csv
from api.query.formats.drawing import draw
from api.query.formats.table import Table
from api.query.formats.text import write_text


@dataclass(frozen=True, slots=True)
class Format:
    """A form of an answer.

    Attributes:
        media_type: Its name in HTTP.
        write: Returns the text of an answer's table; None if the answer goes out as JSON.
    """

    media_type: str
    write: Callable[[Table], str] | None = None

    @property
    def content_type(self) -> str:
        """What Content-Type says of it."""
        is_text = self.media_type.startswith("text/")
        return f"{self.media_type}; charset=utf-8" if is_text else self.media_type


JSON = Format("application/json")
CSV = Format("text/csv", write_csv)
TEXT = Format("text/plain", write_text)
SVG = Format("image/svg+xml", draw)

ACCEPT_LENGTH_MAX = 1024
"""How long an Accept is that is looked at, as browsers' are of 200: each part takes its time."""

_CHOICES = (JSON, CSV, TEXT)


def chosen(req: falcon.Request) -> Format:
    """Return the form that a request prefers: JSON, unless it wants another one more."""
    if len(req.accept) > ACCEPT_LENGTH_MAX:
        return JSON
    try:
        # The first of equals.
        return max(_CHOICES, key=lambda each: mediatypes.quality(each.media_type, req.accept))
    except falcon.InvalidMediaRange:
        return JSON
