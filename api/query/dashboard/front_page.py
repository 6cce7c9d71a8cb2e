"""``GET /``: the dashboard for a browser; for curl what can be asked, with lines to paste."""

from collections.abc import Callable
from typing import Any

import falcon

from api.access import Access
from api.query.dashboard.lines_to_paste import lines_to_paste
from api.query.dashboard.static_files import PREFIX, StaticFile, StaticFiles, static_files
from metrics.known_keys import KnownKeys

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No script may make markup, or code, of text.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

_KEYS_LOOKED_AT = 1000
"""How many keys are looked at for the one with the newest messages."""

_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class FrontPage:
    """``/``: the dashboard, or a text.

    The page itself holds no data and asks for no token: it asks the service for what it shows, as
    anybody does. The text names a key, so with tokens it takes one.

    Args:
        files: The files of the page.
        known_keys: Where an example is found.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
    """

    def __init__(
        self,
        files: StaticFiles,
        known_keys: KnownKeys,
        *,
        access: Access,
        ensure_layout: Callable[[], None],
    ) -> None:
        self._page = _page(files)
        self._known_keys = known_keys
        self._access = access
        self._ensure_layout = ensure_layout

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with what the client prefers: HTML as browsers do, or text.

        Raises:
            MetricsError: If there is no text, as Redis is away.
        """
        resp.append_header("Vary", "Accept")
        if req.client_prefers((falcon.MEDIA_TEXT, falcon.MEDIA_HTML)) == falcon.MEDIA_HTML:
            resp.set_headers(_HEADERS)
            self._page.send(req, resp, is_for_good=False)
            return
        resp.content_type = falcon.MEDIA_TEXT
        resp.cache_control = ["no-store"]
        grant = self._access.find(req.get_header("Authorization") or "")
        keys = []
        if grant is not None:
            self._ensure_layout()
            keys = self._known_keys.page(grant.within(""), "", _KEYS_LOOKED_AT)
        resp.text = lines_to_paste(
            req.scheme,
            req.netloc,
            keys,
            asks_for_token=not self._access.is_open,
            has_token=grant is not None,
        )

    on_head = on_get


def _page(files: StaticFiles) -> StaticFile:
    """Return the page with the paths of its files: relative, as a proxy may put us anywhere."""
    base = f"{PREFIX[1:]}/{files.version}"
    # Else a browser would find one module in another, one after the other.
    preloads = "\n".join(
        f'<link rel="modulepreload" href="{base}/{name}">'
        for name in files.names
        if name.endswith(".js") and not name.startswith("uPlot")
    )
    text = files["index.html"].plain.decode()
    filled = text.replace("{files}", base).replace("{preloads}", preloads)
    return StaticFile.of(filled.encode(), ".html")


def add_dashboard(
    app: falcon.App[Any, Any],
    known_keys: KnownKeys,
    access: Access,
    ensure_layout: Callable[[], None],
) -> None:
    """Let an app answer with the dashboard.

    Args:
        app: The app.
        known_keys: Where an example is found for who has no browser.
        access: Who may read which keys.
        ensure_layout: Checks that Redis holds what this process expects.
    """
    files = static_files()
    page = FrontPage(files, known_keys, access=access, ensure_layout=ensure_layout)
    app.add_route("/", page)
    app.add_route(f"{PREFIX}/{{version}}/{{name}}", files)
