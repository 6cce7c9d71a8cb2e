"""The settings of a process: read once, all of them checked, then passed down as plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from metrics.errors import SettingsError

_PREFIXED_TOKEN = re.compile(r"([A-Za-z0-9._:-]*)\*=(.+)")
_URL_SCHEMES = ("redis://", "rediss://", "unix://")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and the keys it is good for.

    Attributes:
        secret: What a client sends as ``Authorization: Bearer <secret>``.
        prefix: Beginning of the keys; empty for all.
    """

    secret: str
    prefix: str = ""

    def __repr__(self) -> str:
        return f"Token(prefix={self.prefix!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process; a number's unit is the last word of its name."""

    redis_url: str
    port: int
    partitions: int
    retention_days: int
    wait_replicas: int
    dedupe_seconds: int
    backlog_limit_entries: int
    body_max_bytes: int
    claim_seconds: float
    write_tokens: tuple[Token, ...]
    read_tokens: tuple[Token, ...]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read ``REDIS_URL``, ``PORT`` and the ``METRICS_*`` variables.

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
            # Far above what a commit takes, so that nobody is robbed who is only busy.
            claim_seconds=read.number("METRICS_CLAIM_SECONDS", 30, least=0.1, most=86_400),
            write_tokens=read.tokens("METRICS_WRITE_TOKENS"),
            read_tokens=read.tokens("METRICS_READ_TOKENS"),
        )
        if read.problems:
            raise SettingsError("; ".join(read.problems))
        return settings


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

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self._environ.get(name, "").strip() or str(default)
        if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) and least <= int(text) <= most:
            return int(text)
        self.problems.append(f"{name} must be a whole number from {least} to {most}, got {text!r}")
        return default

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        text = self._environ.get(name, "").strip() or str(default)
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) and least <= float(text) <= most:
            return float(text)
        self.problems.append(f"{name} must be a number from {least} to {most}, got {text!r}")
        return default

    def tokens(self, name: str) -> tuple[Token, ...]:
        tokens = []
        for text in self._environ.get(name, "").split(","):
            entry = text.strip()
            prefixed = _PREFIXED_TOKEN.fullmatch(entry)
            if prefixed:
                tokens.append(Token(prefixed[2], prefixed[1]))
            elif "*" in entry:
                self.problems.append(f"{name}: an entry must be token or prefix*=token")
            elif entry:
                tokens.append(Token(entry))
        return tuple(tokens)
