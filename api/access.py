"""Who may write or read which keys: bearer tokens (RFC 6750), or everybody."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import falcon

from api.problems import Problem
from metrics.errors import SettingsError
from metrics.tokens import Token, digest_of, prefixes_by_digest, read_file

_SCHEME = "bearer "

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request may do.

    Attributes:
        token_id: Separates one token's requests from another's; empty if everybody may.
        prefixes: Beginnings of the keys that it covers.
    """

    token_id: str
    prefixes: tuple[str, ...]

    def covers(self, key: str) -> bool:
        """Return whether a key is among those it covers."""
        return key.startswith(self.prefixes)

    def within(self, prefix: str) -> list[str]:
        """Return the prefixes of the keys that it covers among those with ``prefix``.

        None of them begins another.

        Raises:
            Problem: If it covers none.
        """
        if self.covers(prefix):
            return [prefix]
        found: list[str] = []
        for each in sorted(self.prefixes):
            if each.startswith(prefix) and not (found and each.startswith(found[-1])):
                found.append(each)
        if not found:
            raise Problem(falcon.HTTP_403, f"this token may not read keys with prefix {prefix}")
        return found


EVERYTHING = Grant("", ("",))
"""What everybody may do where no tokens are set."""


class Access:
    """Finds out what a request may do.

    Without tokens everybody may do everything.

    Args:
        tokens: Those of the settings.
        file: Lists more of them; empty if there is none.

    Raises:
        SettingsError: If the file cannot be used.
    """

    def __init__(self, tokens: Sequence[Token], file: str = "") -> None:
        self._tokens = tokens
        self._file = file
        self._grants = self._read()

    def reload(self) -> None:
        """Read the file again, if there is one; if it cannot be used nothing changes."""
        try:
            self._grants = self._read()
        except SettingsError as error:
            _log.error("tokens stay as they were: %s", error)

    def _read(self) -> dict[str, Grant]:
        tokens = self._tokens
        if self._file:
            listed = read_file(self._file)
            _log.info("%s was read: %d lines are tokens", self._file, len(listed))
            tokens = (*tokens, *listed)
        # Looked up by digest, so that the time it takes reveals nothing about a secret.
        return {
            digest: Grant(digest[:16], prefixes)
            for digest, prefixes in prefixes_by_digest(tokens).items()
        }

    def find(self, authorization: str) -> Grant | None:
        """Return what a request with this Authorization header may do; None if nothing."""
        if not self._grants:
            return EVERYTHING
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        return self._grants.get(digest_of(authorization[len(_SCHEME) :].strip()))

    @property
    def is_open(self) -> bool:
        """Whether everybody may do everything."""
        return not self._grants

    def grant(self, req: falcon.Request) -> Grant:
        """Return what a request may do.

        Raises:
            Problem: If its token is missing or unknown.
        """
        found = self.find(req.get_header("Authorization") or "")
        if found:
            return found
        raise Problem(
            falcon.HTTP_401,
            "Send a token that is good here, as Authorization: Bearer <token>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
