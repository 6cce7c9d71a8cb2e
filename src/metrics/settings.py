"""The settings of a process: read once, all of them checked, then passed down as plain values."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self, cast

from metrics.errors import SettingsError
from metrics.log_lines import LogFormat
from metrics.tls import CA_FILE, CERT_FILE, KEY_FILE, TlsFiles
from metrics.tokens import ENTRY_RULE, parse_entry
from metrics.tokens import Token as Token

EVERYWHERE = "0.0.0.0"  # noqa: S104  (a platform's router comes from outside)
LOOPBACK = "127.0.0.1"
WILDCARD = "*"

SERVICE = "{service}"
"""In ``METRICS_SELF_KEY``: the name of the service."""

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9_])?", re.IGNORECASE)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@,]+", re.IGNORECASE)
# Without what a shell or a page might take for something else: both show it.
_WEB_URL = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]*(?:/[A-Za-z0-9._~/-]*)?")
_SELF_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_URL_SCHEMES = ("redis://", "rediss://", "unix://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process; a number's unit is the last word of its name."""

    redis_url: str = field(repr=False)  # may hold a password
    port: int
    partitions: int
    retention_days: int
    wait_replicas: int
    dedupe_seconds: int
    backlog_limit_entries: int
    body_max_bytes: int
    connections_max: int
    claim_seconds: float
    lateness_seconds: float
    write_tokens: tuple[Token, ...]
    read_tokens: tuple[Token, ...]
    host: str = EVERYWHERE
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    query_url: str = ""
    self_key: str = ""
    write_tokens_file: str = ""
    read_tokens_file: str = ""
    without_tokens: bool = False
    connections_per_address_max: int = 2000
    requests_per_second: int | None = None
    proxies: int = 0
    redis_tls: TlsFiles | None = None
    log_format: LogFormat = "console"
    keys_max: int = 100_000
    new_keys_per_hour: int | None = None
    bodies_bytes_max: int = 268_435_456

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, default_host: str = EVERYWHERE) -> Self:
        """Read ``REDIS_URL``, ``PORT`` and the ``METRICS_*`` variables.

        Args:
            environ: Variables of the process.
            default_host: What to listen at if ``METRICS_HOST`` does not say.

        Raises:
            SettingsError: If any value is bad; the text names all of them.
        """
        read = _Reader(environ)
        settings = cls(
            redis_url=read.redis_url("REDIS_URL"),
            port=read.integer("PORT", 8000, least=1, most=65535),
            # Part of every name in Redis; a cluster has 16384 slots to put them in.
            partitions=read.integer("METRICS_PARTITIONS", 16, least=1, most=16384),
            retention_days=read.integer("METRICS_RETENTION_DAYS", 30, least=1, most=36500),
            wait_replicas=read.integer("METRICS_WAIT_REPLICAS", 0, least=0, most=100),
            # A client must have time to repeat what it got no answer to.
            dedupe_seconds=read.integer("METRICS_DEDUPE_SECONDS", 900, least=1, most=31_536_000),
            backlog_limit_entries=read.integer(
                "METRICS_BACKLOG_LIMIT", 100_000, least=1, most=1_000_000_000
            ),
            body_max_bytes=read.integer(
                "METRICS_MAX_BODY_BYTES", 8_388_608, least=1, most=1_073_741_824
            ),
            connections_max=read.integer("METRICS_CONNECTIONS_MAX", 4000, least=1, most=1_000_000),
            # Far above what a commit takes, so that a busy worker's entries are not claimed.
            claim_seconds=read.number("METRICS_CLAIM_SECONDS", 30, least=0.1, most=86_400),
            lateness_seconds=read.number("METRICS_LATENESS_SECONDS", 10, least=0, most=3600),
            write_tokens=read.tokens("METRICS_WRITE_TOKENS"),
            read_tokens=read.tokens("METRICS_READ_TOKENS"),
            host=read.host("METRICS_HOST", default_host),
            allowed_hosts=read.hosts("METRICS_ALLOWED_HOSTS"),
            allowed_origins=read.origins("METRICS_ALLOWED_ORIGINS"),
            query_url=read.web_url("METRICS_QUERY_URL"),
            self_key=read.self_key("METRICS_SELF_KEY"),
            write_tokens_file=read.path("METRICS_WRITE_TOKENS_FILE"),
            read_tokens_file=read.path("METRICS_READ_TOKENS_FILE"),
            without_tokens=read.yes("METRICS_WITHOUT_TOKENS"),
            connections_per_address_max=read.integer(
                "METRICS_CONNECTIONS_PER_ADDRESS", 2000, least=1, most=1_000_000
            ),
            requests_per_second=read.optional_integer(
                "METRICS_REQUESTS_PER_SECOND", least=1, most=1_000_000
            ),
            proxies=read.integer("METRICS_PROXIES", 0, least=0, most=10),
            redis_tls=read.tls_files("REDIS_URL"),
            log_format=read.log_format("METRICS_LOG_FORMAT"),
            keys_max=read.integer("METRICS_KEYS_MAX", 100_000, least=1, most=100_000_000),
            new_keys_per_hour=read.optional_integer(
                "METRICS_NEW_KEYS_PER_HOUR", least=1, most=100_000_000
            ),
            bodies_bytes_max=read.integer(
                "METRICS_BODIES_BYTES_MAX", 268_435_456, least=65_536, most=2**40
            ),
        )
        if read.problems:
            raise SettingsError("; ".join(read.problems))
        return settings

    @property
    def asks_writers(self) -> bool:
        """Whether a token is needed to write."""
        return bool(self.write_tokens or self.write_tokens_file)

    @property
    def asks_readers(self) -> bool:
        """Whether a token is needed to read."""
        return bool(self.read_tokens or self.read_tokens_file)

    def self_key_of(self, service: str) -> str:
        """Return the key under which a service records its own response times; empty if none."""
        return self.self_key.replace(SERVICE, service)


class _Reader:
    """Reads variables one by one, and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def redis_url(self, name: str) -> str:
        url = self._environ.get(name, "").strip()
        if not url:
            self.problems.append(f"{name} must be set, to redis://host:port or rediss://host:port")
        elif not url.startswith(_URL_SCHEMES):
            # Not shown: it may hold a password.
            self.problems.append(f"{name} must begin with one of {', '.join(_URL_SCHEMES)}")
        return url

    def tls_files(self, name: str) -> TlsFiles | None:
        ca, certificate, key = (
            self._environ.get(file, "").strip() for file in (CA_FILE, CERT_FILE, KEY_FILE)
        )
        if not (ca or certificate or key):
            return None
        if not self._environ.get(name, "").strip().startswith("rediss://"):
            self.problems.append(f"{CA_FILE}, {CERT_FILE} and {KEY_FILE} need rediss:// in {name}")
        if key and not certificate:
            self.problems.append(f"{KEY_FILE} is set and {CERT_FILE} is not; they belong together")
        return TlsFiles(ca, certificate, key)

    def log_format(self, name: str) -> LogFormat:
        text = self._environ.get(name, "").strip().lower() or "console"
        if text in ("console", "json"):
            return cast("LogFormat", text)
        self.problems.append(f"{name} must be console or json, got {text!r}")
        return "console"

    def web_url(self, name: str) -> str:
        text = self._environ.get(name, "").strip().rstrip("/")
        if not text or _WEB_URL.fullmatch(text):
            return text
        self.problems.append(f"{name} must be a URL such as https://query.example, got {text!r}")
        return ""

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self._environ.get(name, "").strip() or str(default)
        if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) and least <= int(text) <= most:
            return int(text)
        self.problems.append(f"{name} must be a whole number from {least} to {most}, got {text!r}")
        return default

    def optional_integer(self, name: str, *, least: int, most: int) -> int | None:
        if not self._environ.get(name, "").strip():
            return None
        return self.integer(name, least, least=least, most=most)

    def yes(self, name: str) -> bool:
        text = self._environ.get(name, "").strip()
        if text not in ("", "yes"):
            self.problems.append(f"{name} must be yes, or unset; got {text!r}")
        return text == "yes"

    def path(self, name: str) -> str:
        text = self._environ.get(name, "")
        if text and (not text.strip() or "\0" in text):
            self.problems.append(f"{name} must be the path of a file; unset it to let all in")
        return text.strip()

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        text = self._environ.get(name, "").strip() or str(default)
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) and least <= float(text) <= most:
            return float(text)
        self.problems.append(f"{name} must be a number from {least} to {most}, got {text!r}")
        return default

    def tokens(self, name: str) -> tuple[Token, ...]:
        text = self._environ.get(name, "")
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if text and not entries:
            self.problems.append(f"{name} is set and has no token in it; unset it to let all in")
        tokens = []
        for entry in entries:
            token = parse_entry(entry)
            if token is None:
                # Not shown: it may be a secret.
                self.problems.append(f"{name}: {ENTRY_RULE}")
            else:
                tokens.append(token)
        return tuple(tokens)

    def host(self, name: str, default: str) -> str:
        text = self._environ.get(name, "").strip() or default
        host = bare_host(text)
        if not _is_host(host):
            self.problems.append(
                f"{name} must be an address or a name to listen at, such as 127.0.0.1, 0.0.0.0 "
                f"or ::, without a port; got {text!r}"
            )
        return host

    def hosts(self, name: str) -> tuple[str, ...]:
        return self._listed(
            name,
            lambda text: text == WILDCARD or _is_host(bare_host(text)),
            "a host without its port",
        )

    def origins(self, name: str) -> tuple[str, ...]:
        return self._listed(
            name,
            lambda text: text == WILDCARD or _ORIGIN.fullmatch(text) is not None,
            "an origin such as https://dashboard.example",
        )

    def self_key(self, name: str) -> str:
        text = self._environ.get(name, "").strip()
        if text and not _SELF_KEY.fullmatch(text.replace(SERVICE, "collector")):
            self.problems.append(
                f"{name} must be a key, 1 to 128 characters of A-Z a-z 0-9 . _ : - beginning with "
                f"a letter or digit; {SERVICE} in it stands for collector or query; got {text!r}"
            )
        return text

    def _listed(self, name: str, is_one: Callable[[str], bool], what: str) -> tuple[str, ...]:
        entries = [entry.strip().lower() for entry in self._environ.get(name, "").split(",")]
        for entry in filter(None, entries):
            if not is_one(entry):
                self.problems.append(f"{name}: an entry must be {what}, or *; got {entry!r}")
        return tuple(filter(None, entries))


def bare_host(text: str) -> str:
    """Return a host without the brackets that an IPv6 address has in a URL."""
    return text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text


def in_url(host: str) -> str:
    """Return a host as a URL has it: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens at a host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True
