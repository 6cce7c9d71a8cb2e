"""``GET /`` of the collector: lines to paste into a shell; for a browser, a page that has them.

The numbers are shown by the query service, which usually listens at another port.
"""

import hashlib
import re
import shlex
from base64 import b64encode
from dataclasses import dataclass
from html import escape

import falcon

from metrics.settings import Settings

QUERY_PORT_OFFSET = 100
"""How far above a collector's port the query service is under ``ops/run`` and honcho."""

# RFC 3986, section 3.2.2, without what a shell or a page might take for something else.
_HOST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")

_WHAT = (
    "This is the collector of metrics. It takes response times,\n"
    "one message (key, value) for each request that an app serves."
)

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h2{font-size:1rem;margin:1.5rem 0 .25rem}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;padding:.75rem;"
    "border:1px solid;border-radius:.25rem}"
)
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>metrics: collector</title>
<style>{style}</style>
</head>
<body>
<h1>metrics: collector</h1>
<p>{what}</p>
<p><a href="{query}/">Dashboard</a>: {found}</p>
{sections}
</body>
</html>
"""
_STYLE_DIGEST = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Vary": "Accept",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    lines: tuple[str, ...]


class FrontPage:
    """``/``.

    Args:
        settings: Of the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._port = settings.port
        self._query_url = settings.query_url
        self._write = ' -H "Authorization: Bearer $WRITE_TOKEN"' if settings.asks_writers else ""
        self._read = ' -H "Authorization: Bearer $READ_TOKEN"' if settings.asks_readers else ""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with lines to paste; whoever prefers HTML gets a page."""
        resp.set_headers(_HEADERS)
        named = _HOST.fullmatch(req.get_header("Host") or "")
        here = named[0] if named else f"localhost:{self._port}"
        if req.forwarded_scheme == "https":
            here = f"https://{here}"
        host = named[1] if named else "localhost"
        query = self._query_url or f"http://{host}:{self._port + QUERY_PORT_OFFSET}"
        sections = self._sections(here, query)
        if "text/html" in (req.get_header("Accept") or ""):
            resp.content_type = "text/html; charset=utf-8"
            resp.text = _page(sections, query, self._found)
        else:
            resp.content_type = "text/plain; charset=utf-8"
            resp.text = _text(sections, query, self._found)

    @property
    def _found(self) -> str:
        """How it is known where the query service is."""
        if self._query_url:
            return "at the query service, as METRICS_QUERY_URL says."
        return (
            f"at the query service, {QUERY_PORT_OFFSET} ports above the collector's,\n"
            "where ops/run puts it. METRICS_QUERY_URL names another place."
        )

    def _sections(self, here: str, query: str) -> list[_Section]:
        post = f"curl {shlex.quote(f'{here}/messages')}{self._write}"
        ask = f"curl{self._read}"
        tokens = [
            f"{name}=...    # one that is good here"
            for name, is_asked in (("WRITE_TOKEN", self._write), ("READ_TOKEN", self._read))
            if is_asked
        ]
        return [
            *([_Section("First, in your shell:", tuple(tokens))] if tokens else []),
            _Section("One message:", (f"{post} -d 'checkout.web-1,123.4'",)),
            _Section(
                "Several, as lines or as JSON:",
                (
                    r"printf 'checkout.web-1,98.1\ncheckout.web-2,7\n' | "
                    f"{post} --data-binary @-",
                    f'{post} -d \'[["checkout.web-1",98.1],["checkout.web-2",7]]\'',
                ),
            ),
            _Section(
                "Once, however often it is sent:",
                (f"{post} -H 'Idempotency-Key: web-1/4711' -d 'checkout.web-1,98.1'",),
            ),
            _Section(
                "Ask for the median of this hour, and what else there is:",
                (
                    f"{ask} {shlex.quote(f'{query}/checkout.web-1/median/today/now')}",
                    f"{ask} {shlex.quote(f'{query}/')}",
                ),
            ),
        ]


def _text(sections: list[_Section], query: str, found: str) -> str:
    parts = [
        "\n".join([section.title, *(f"  {line}" for line in section.lines)]) for section in sections
    ]
    return "\n\n".join([_WHAT, *parts, f"Dashboard: {query}/ {found}"]) + "\n"


def _page(sections: list[_Section], query: str, found: str) -> str:
    parts = [
        f"<h2>{escape(section.title)}</h2>\n<pre>{escape(chr(10).join(section.lines))}</pre>"
        for section in sections
    ]
    return _PAGE.format(
        style=_STYLE,
        what=escape(_WHAT),
        query=escape(query),
        found=escape(found),
        sections="\n".join(parts),
    )
