"""The files of the page, each read once, with names that change when any of them does.

So a browser may keep them for good, and asks again for the page alone.

Source:
    RFC 9111, section 5.2.2; RFC 8246 (immutable).
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import falcon

from api.query.caching import is_known

FOLDER = Path(__file__).parent / "page"

PREFIX = "/_dashboard"
"""Begins the paths of the files. No key begins so, hence no statistic's path does."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_KEPT_FOR_GOOD = ["public", "max-age=31536000", "immutable"]
_KEPT_FOR_NOW = ["no-cache"]


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is answered.

    Attributes:
        content_type: Its media type.
        plain: Its bytes.
        packed: The same by gzip.
        etag: Names its content.
    """

    content_type: str
    plain: bytes
    packed: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes, suffix: str) -> Self:
        """Return the file with this content, of the type that a suffix such as ``.js`` says."""
        packed = gzip.compress(content, mtime=0)
        etag = hashlib.blake2b(content, digest_size=12).hexdigest()
        return cls(_TYPES[suffix], content, packed, etag)

    def send(self, req: falcon.Request, resp: falcon.Response, *, is_for_good: bool) -> None:
        """Answer with it, or with 304 if the client has it already."""
        takes_gzip = any(
            each.partition(";")[0].strip().lower() == "gzip" and not each.strip().endswith("q=0")
            for each in (req.get_header("Accept-Encoding") or "").split(",")
        )
        etag = f"{self.etag}-gzip" if takes_gzip else self.etag
        resp.cache_control = _KEPT_FOR_GOOD if is_for_good else _KEPT_FOR_NOW
        resp.append_header("Vary", "Accept-Encoding")
        resp.etag = etag
        if is_known(req, etag):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = self.content_type
        if takes_gzip:
            resp.set_header("Content-Encoding", "gzip")
        resp.data = self.packed if takes_gzip else self.plain


@cache
def static_files() -> "StaticFiles":
    """Return the files of the page; they are read and packed once."""
    return StaticFiles()


class StaticFiles:
    """``/_dashboard/<version>/<name>``: scripts, style and icon.

    They hold no data, and ask for no token.

    Attributes:
        version: Of all of them together; it is in their paths.
        names: Their paths below the version.
    """

    def __init__(self) -> None:
        contents = {
            path.name: path.read_bytes() for path in sorted(FOLDER.rglob("*")) if path.is_file()
        }
        digest = hashlib.blake2b(digest_size=5)
        for name, content in contents.items():
            digest.update(b"%s %d\n%s" % (name.encode(), len(content), content))
        self.version = digest.hexdigest()
        self._files = {
            name: StaticFile.of(content, Path(name).suffix) for name, content in contents.items()
        }
        self.names = tuple(self._files)

    def __getitem__(self, name: str) -> StaticFile:
        """Return the file of a name.

        Raises:
            KeyError: If there is none.
        """
        return self._files[name]

    def on_get(self, req: falcon.Request, resp: falcon.Response, version: str, name: str) -> None:
        """Answer with a file.

        While processes are being replaced, a page of one version may ask a process of another. It
        then gets the file that there is, and does not keep it.

        Raises:
            falcon.HTTPNotFound: If there is no such file.
        """
        found = self._files.get(name)
        if found is None:
            raise falcon.HTTPNotFound(description=f"the dashboard has no file {name[:80]!r}")
        found.send(req, resp, is_for_good=version == self.version)

    on_head = on_get
