"""A folder of data that one process has to itself."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metrics.errors import SettingsError

_LOCK = ".lock"
"""Locked by the process that has the folder, and holds its pid; the lock ends with the process."""


@contextmanager
def own(folder: Path, program: str) -> Iterator[Path]:
    """Give a folder, which is made if it is missing, to this process and its user alone.

    Args:
        folder: Which.
        program: Whose folder it is, for a person to read.

    Raises:
        SettingsError: If it cannot be written, or another process has it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(folder)
        lock = (folder / _LOCK).open("a+")
    except OSError as error:
        raise SettingsError(f"METRICS_DATA_DIR: cannot write to {folder}: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"METRICS_DATA_DIR: {folder} is in use by another {program}"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield folder


def _make_private(folder: Path) -> None:
    """Let nobody else into a folder, also one that an older version or somebody has made.

    A mounted one may belong to another user, who decides then.
    """
    try:
        folder.chmod(0o700)
    except PermissionError:
        print(
            f"METRICS_DATA_DIR: {folder} belongs to another user, who decides who reads it",
            file=sys.stderr,
            flush=True,
        )


def owner_of(folder: Path) -> int | None:
    """Return the pid of the process that has a folder to itself, None if there is none."""
    try:
        lock = (folder / _LOCK).open()
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read())
        return None
