"""An append-only file that lacks its end, as a power cut or a full disk leaves it.

Redis writes a script as one transaction, MULTI to EXEC. When the file ends within one, Redis (with
``aof-load-truncated yes``) loads it without the transaction, but leaves the first part of it in the
file. What is written next completes it, and at the restart after that it counts. So we start Redis
with ``no``: it refuses such a file, and that part is taken off here, by Redis' own redis-check-aof.

From 7.0 on it is several files, which a manifest lists; commands are appended to the last. That one
is judged alone: valkey-check-aof 9.1 cannot read the base file that Valkey itself writes.
"""

import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Self

from metrics.errors import SettingsError

_FOLDER = "appendonlydir"
_LISTED = re.compile(r"^file (\S+) seq \d+ type [bi]", re.MULTILINE)
"""A base or an incremental file in the manifest."""

_VALKEY = b"VALKEY"
"""How a base file begins that Valkey 9.0 or newer has written; no Redis reads it."""

_TORN = "Unexpected end of file reading the append only file"
_TORN_FILE = re.compile(rf"{_TORN} ([^\s.]\S*)\. ")
_DAMAGED = "Bad file format reading the append only file"
"""What a server logs when it refuses to load its file; all but 6.2 name it."""

_ANALYZED = re.compile(r"AOF analyzed: (?:filename=.+, )?size=(\d+), ok_up_to=(\d+),")
_STOPPED_AT = re.compile(r"^0x\s*([0-9a-f]+): ", re.MULTILINE)
"""What its redis-check-aof tells."""

_COMMAND = re.compile(rb"\r\n\*\d+\r\n\$\d+\r\n")
"""How a command begins in the file, after another."""


def is_readable(folder: Path, *, version: tuple[int, ...], by_valkey: bool) -> bool:
    """Return whether a server reads what is in a folder. One that does not may well start empty.

    Args:
        folder: Where the data lie, if there are any.
        version: That of the server.
        by_valkey: Whether it is Valkey.
    """
    several = folder / _FOLDER
    if not several.is_dir():
        return True
    return version >= (7,) and (
        by_valkey or not any(_begins_with(file, _VALKEY) for file in several.glob("*.base.rdb"))
    )


def make_private(folder: Path) -> None:
    """Take from others the right to read what a server has written; a newer one grants none."""
    for path in (*folder.glob("appendonly*"), *folder.glob(f"{_FOLDER}/*"), *folder.glob("*.log")):
        with suppress(PermissionError):  # that of another user, who decides
            path.chmod(0o700 if path.is_dir() else 0o600)


def mend(server: Path, folder: Path, log: str) -> str | None:
    """Take off what follows the last whole command or transaction, and keep a copy.

    Args:
        server: The redis-server, which is redis-check-aof as well.
        folder: Where its data lie.
        log: What the server logged when it did not start.

    Returns:
        What was done, for a person to read; None if it did not start for another reason.

    Raises:
        SettingsError: If more is wrong with the file than that its end is missing. It is left as
            it is: to take off what follows a damage may take off hours.
    """
    if _TORN not in log and _DAMAGED not in log:
        return None
    path = _last_file(folder)
    torn = _TORN_FILE.search(log)
    if torn and torn[1] != path.name:
        raise SettingsError(
            f"{path.with_name(torn[1])} lacks its end, and {path.name} goes on after it, so both "
            "were left as they are: promote a replica, or go back to a backup"
        )
    found = _Finding.read(path, _check_aof(server, path))
    if _DAMAGED in log or not found.is_end_missing():
        raise SettingsError(
            f"{found.file} is damaged after byte {found.sound} of {found.size}, and not just torn "
            "off at its end, so it was left as it is: promote a replica; or copy the file and run "
            f"redis-check-aof --fix {path}, which takes off all that follows"
        )
    copy = _copy(found.file)
    told = _check_aof(server, path, "--fix")
    if found.file.stat().st_size != found.sound:
        copy.unlink()
        reason = "".join(told.strip().splitlines()[-1:])
        raise SettingsError(f"{found.file} lacks its end, and was left as it is: {reason}")
    return (
        f"{found.file} lacked its end; its last {found.size - found.sound} bytes, a command or "
        f"transaction that was not written to its end, were taken off. As it was, it is {copy}"
    )


@dataclass(frozen=True, slots=True)
class _Finding:
    """What redis-check-aof found.

    Attributes:
        file: The file that is not sound.
        size: Its bytes.
        sound: How many of them, from the first, are whole commands and transactions.
        stopped_at: Where it could read no further; its end, if it does not say.
    """

    file: Path
    size: int
    sound: int
    stopped_at: int

    @classmethod
    def read(cls, path: Path, told: str) -> Self:
        analyzed = _ANALYZED.findall(told)
        if not analyzed:
            raise SettingsError(f"redis-check-aof cannot read {path}: {told.strip()}")
        size, sound = map(int, analyzed[-1])
        stopped_at = [int(at, 16) for at in _STOPPED_AT.findall(told)]
        # It says nothing of a file that ends right after the number of a command's arguments.
        return cls(path, size, sound, [size, *stopped_at][-1])

    def is_end_missing(self) -> bool:
        """Return whether the file just ends too early.

        A byte that has changed in a length can make a command reach beyond the end of the file,
        too. But then whole commands lie within it, and all of them would be taken off.
        """
        with self.file.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return _COMMAND.search(data, self.stopped_at) is None


def _last_file(folder: Path) -> Path:
    """Return the file that is appended to: 6.2 has only one."""
    manifest = folder / _FOLDER / "appendonly.aof.manifest"
    if not manifest.exists():
        return folder / "appendonly.aof"
    return manifest.with_name(_LISTED.findall(manifest.read_text("utf-8"))[-1])


def _begins_with(file: Path, magic: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(magic)) == magic


def _check_aof(server: Path, path: Path, *options: str) -> str:
    """Return what redis-check-aof tells; a redis-server that is called by that name is one."""
    done = subprocess.run(
        ["redis-check-aof", *options, str(path)],
        executable=server,
        input=b"y\n",
        capture_output=True,
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def _copy(file: Path) -> Path:
    copy = file.with_name(f"{file.name}.torn-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    try:
        shutil.copy2(file, copy)
    except OSError as error:
        copy.unlink(missing_ok=True)
        raise SettingsError(f"{file} lacks its end, and cannot be copied: {error}") from error
    return copy
