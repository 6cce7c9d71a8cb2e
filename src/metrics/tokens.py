"""Bearer tokens: drawn, listed in settings and files, recognised again by their digests.

A file lists one a line: ``token`` for all keys, ``prefix*=token`` for those with a prefix. In the
place of the token may stand its digest, ``sha256:`` and 64 hexadecimal digits, so that who reads
the file can write and read nothing with it. A plain digest is enough, as what ``new_token`` draws
cannot be guessed; a password that somebody made up could be.

Source:
    RFC 6750, section 2.1; RFC 6819, section 5.1.4.1.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from metrics.errors import SettingsError

HASHED = "sha256:"
"""How an entry begins that holds a digest instead of the token."""

FILE_BYTES_MAX = 1_048_576
"""How long a file of tokens may be."""

ENTRY_RULE = (
    "an entry must be token or prefix*=token, in printable ASCII without spaces; a token for all "
    "keys that has * or = inside is *=token"
)

_DRAWN_BYTES = 32
# Lets those who scan for secrets that got out know it.
_DRAWN_PREFIX = "metrics_"

_ENTRY = re.compile(r"(?:((?:[A-Za-z0-9][A-Za-z0-9._:-]{0,127})?)\*=)?([\x21-\x7e]+)")
_PREFIX = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._:-]{0,127})?")
_UNPREFIXED_SECRET = re.compile(r"[^=*]+=*")
_HASHED = re.compile(HASHED + r"([0-9A-Fa-f]{64})")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and the keys it is good for.

    Attributes:
        secret: What a client sends as ``Authorization: Bearer <secret>``, or its digest.
        prefix: Beginning of the keys; empty for all.
    """

    secret: str
    prefix: str = ""

    def __repr__(self) -> str:
        return f"Token(prefix={self.prefix!r})"

    @property
    def digest(self) -> str:
        """The digest of what a client sends."""
        hashed = _HASHED.fullmatch(self.secret)
        return hashed[1].lower() if hashed else digest_of(self.secret)


def digest_of(secret: str) -> str:
    """Return the digest by which a token is recognised."""
    return hashlib.sha256(secret.encode()).hexdigest()


def parse_entry(text: str) -> Token | None:
    """Return the token that an entry names, None if it names none."""
    found = _ENTRY.fullmatch(text)
    # "shop.=secret" has lost its star; a token may end in "=", as base64 does.
    if found is None or (found[1] is None and not _UNPREFIXED_SECRET.fullmatch(text)):
        return None
    # A digest that was cut short would become a token that somebody has read.
    if found[2].startswith(HASHED) and not _HASHED.fullmatch(found[2]):
        return None
    return Token(found[2], found[1] or "")


def read_file(path: str) -> tuple[Token, ...]:
    """Return the tokens that a file lists, one a line; empty lines and ``# comments`` aside.

    Raises:
        SettingsError: If it cannot be read, lists none, or a line is no token; the text names the
            line and does not show it.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingsError(f"the token file {path} cannot be read: {reason}") from error
    if len(content) > FILE_BYTES_MAX:
        raise SettingsError(f"the token file {path} may have {FILE_BYTES_MAX} bytes")
    tokens = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        token = parse_entry(entry)
        if token is None:
            raise SettingsError(f"the token file {path}, line {number}: {ENTRY_RULE}")
        tokens.append(token)
    if not tokens:
        raise SettingsError(f"the token file {path} has no token in it")
    return tuple(tokens)


def new_token(prefix: str = "") -> tuple[str, str]:
    """Draw a token.

    Args:
        prefix: Beginning of the keys it will be good for; empty for all.

    Returns:
        What its client sends, and the line for the file of the service, which has its digest.

    Raises:
        SettingsError: If no key begins with the prefix.
    """
    if not _PREFIX.fullmatch(prefix):
        raise SettingsError(f"no key begins with {prefix[:128]!r}")
    secret = _DRAWN_PREFIX + secrets.token_urlsafe(_DRAWN_BYTES)
    line = f"{HASHED}{digest_of(secret)}"
    return secret, f"{prefix}*={line}" if prefix else line


def prefixes_by_digest(tokens: Iterable[Token]) -> dict[str, tuple[str, ...]]:
    """Return what tokens are good for, by their digests."""
    found: dict[str, tuple[str, ...]] = {}
    for token in tokens:
        found[token.digest] = (*found.get(token.digest, ()), token.prefix)
    return found


def prefixes_of(secret: str, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return the beginnings of the keys that a client's token is good for; none, if no good.

    It is looked up by its digest, so that the time it takes reveals nothing about a secret.
    """
    return prefixes_by_digest(tokens).get(digest_of(secret), ())
