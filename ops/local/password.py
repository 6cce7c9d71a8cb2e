"""The password of a Redis of ours, kept beside its data: other users of the machine have none."""

import os
import secrets
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

from metrics.errors import SettingsError

FILE = "redis.password"


@dataclass(frozen=True, slots=True)
class Password:
    """A password, and how each of those who need it is told.

    Attributes:
        text: The password.
        file: Where it is kept.
    """

    text: str = field(repr=False)
    file: Path

    @classmethod
    def kept_in(cls, folder: Path) -> Self:
        """Return the password in a folder; the first time it is drawn.

        Raises:
            SettingsError: If it can be neither read nor written.
        """
        file = folder / FILE
        try:
            text = _read(file)
            if not text:
                text = secrets.token_hex(32)
                _write(file, text)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"METRICS_DATA_DIR: {file} cannot be used: {error}") from error
        return cls(text, file)

    @property
    def in_url(self) -> str:
        """What stands before the host in a URL."""
        return f":{quote(self.text, safe='')}@"

    @property
    def in_url_of_shell(self) -> str:
        """The same for a shell, which reads it from the file."""
        return f":$(cat {self._quoted_file})@"

    @property
    def in_shell(self) -> str:
        """What stands before redis-cli in a shell: no argument, since everybody sees those."""
        return f"REDISCLI_AUTH=$(cat {self._quoted_file}) "

    @property
    def in_configuration(self) -> str:
        """The settings of a server that asks clients for it, and says it to its master."""
        quoted = self.text.replace("\\", "\\\\").replace('"', '\\"')
        return f'requirepass "{quoted}"\nmasterauth "{quoted}"\n'

    @property
    def _quoted_file(self) -> str:
        return shlex.quote(str(self.file))


def _read(file: Path) -> str:
    """Return what a file holds: nothing if it is not there, or lost it with the power."""
    try:
        file.chmod(0o600)
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner may read; it is there wholly or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{text}\n")
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
