"""What browsers send for pages of other sites: such requests are refused.

Where no token is asked for, any web page could have a visitor's browser write here; and a page
whose own name is made to resolve to this machine (DNS rebinding) could read. Both are seen by
headers that no page can forge: ``Host``, ``Origin`` and ``Sec-Fetch-Site``. Whoever is no browser
sends no Origin, and a Host that names us.

Source:
    RFC 9110, section 7.2 (Host); RFC 6454 (Origin); W3C Fetch Metadata; the rules of
    ``CrossOriginProtection`` in Go 1.25's net/http.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from metrics.settings import WILDCARD, Settings, bare_host, is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_HOSTS_REMEMBERED = 256


class Refusal(NamedTuple):
    """Why a request is refused."""

    status: HTTPStatus
    detail: str


class CrossSiteRules:
    """Finds which requests are refused for where they come from. Safe for threads.

    Args:
        host: What the process listens at. Where only this machine reaches it, its names are the
            ones that are allowed by default; elsewhere a process cannot know its names.
        allowed_hosts: Names of this service, without ports; ``*`` for any; empty for the default.
        allowed_origins: Origins of other sites whose pages may write, or ``*``.
    """

    def __init__(
        self, host: str, *, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]
    ) -> None:
        default = (host.lower(), *_LOOPBACK_NAMES) if is_loopback(host) else (WILDCARD,)
        self._hosts = frozenset(map(bare_host, allowed_hosts or default))
        self._origins = frozenset(allowed_origins)
        self.has_host: Callable[[str | None], bool] = _any_host
        if WILDCARD not in self._hosts:
            self.has_host = lru_cache(_HOSTS_REMEMBERED)(self._has_host)
        """Whether a Host header names this service; None is that of HTTP/1.0, which has none."""

    @classmethod
    def of(cls, settings: Settings) -> "CrossSiteRules":
        """Return the rules of a process with these settings."""
        return cls(
            settings.host,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.allowed_origins,
        )

    def refusal(
        self, method: str, host: str | None, origin: str | None, fetch_site: str | None
    ) -> Refusal | None:
        """Return why a request is refused; None if it is not.

        Args:
            method: Of HTTP.
            host: Its ``Host`` header, if there is one.
            origin: Its ``Origin`` header, if there is one.
            fetch_site: Its ``Sec-Fetch-Site`` header, if there is one.
        """
        if not self.has_host(host):
            return Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This service is not known by the name in the Host header; "
                "METRICS_ALLOWED_HOSTS lists its names.",
            )
        if method in SAFE_METHODS or self._is_own(host, origin, fetch_site):
            return None
        if WILDCARD in self._origins or (origin or "").lower() in self._origins:
            return None
        return Refusal(
            HTTPStatus.FORBIDDEN,
            "A page of another site may not write here; METRICS_ALLOWED_ORIGINS lists those that "
            "may.",
        )

    def _has_host(self, host: str | None) -> bool:
        return host is None or _split(host)[0] in self._hosts

    def _is_own(self, host: str | None, origin: str | None, fetch_site: str | None) -> bool:
        if fetch_site is not None:
            return fetch_site in {"same-origin", "none"}
        if origin is None:
            return True
        scheme, _, at = origin.partition("://")
        default_port = _DEFAULT_PORTS.get(scheme.lower(), "")
        name, port = _split(at)
        own_name, own_port = _split(host or "")
        # A proxy that speaks TLS for us leaves the port out, as its client did.
        return name == own_name and (port or default_port) == (own_port or default_port)


def _any_host(_: str | None) -> bool:
    return True


def _split(authority: str) -> tuple[str, str]:
    """Return the name and the port of a Host header; two empty texts if it is none."""
    try:
        parts = urlsplit(f"//{authority}")
        port = parts.port
    except ValueError:
        return "", ""
    if parts.netloc != authority or parts.username is not None:
        return "", ""
    return (parts.hostname or "").rstrip("."), str(port or "")
