"""The journal beside an imported file: which chunks were sent, and which are known to count.

Collectors remember an Idempotency-Key for some minutes only. So it is noted here before a chunk is
sent, and again once its outcome is known; what is written is on the disk before anything goes out.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

SENT, DONE, UNSENT = "sent", "done", "unsent"
"""On its way; its outcome is known; it certainly reached no collector."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a chunk.

    Attributes:
        state: ``SENT``, ``DONE`` or ``UNSENT``.
        at: When it was first sent, in Unix seconds.
        to: Where to: the collectors.
        chunk: Its name.
        after: The name of the one before.
        start: Where it begins in its file, in bytes.
        end: Where the next one begins.
    """

    state: str
    at: float
    to: str
    chunk: str
    after: str
    start: int
    end: int


class JournalError(Exception):
    """A journal that cannot be used; the text says what to do."""


class Journal:
    """The records of one folder's imports, in a file of JSON lines. For one process at a time.

    Args:
        path: Where it is, or will be.

    Raises:
        JournalError: If it cannot be written, is another's, or is being used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise JournalError(
                f"the journal cannot be written, and without it nothing is imported: {error}. "
                "--journal names another place"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise JournalError(f"another import is using {path}; wait for its end") from error
        self._records: dict[str, dict[str, Record]] = {}
        self._read()

    def after(self, name: str) -> list[Record]:
        """Return what is known of the chunks that come after one."""
        return list(self._records.get(name, {}).values())

    def note(self, *records: Record) -> None:
        """Write records, and wait until they are on the disk."""
        lines = "".join(f"{json.dumps(asdict(record))}\n" for record in records)
        self._file.write(lines.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._remember(records)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def _read(self) -> None:
        self._file.seek(0)
        text = self._file.read()
        whole, _, torn = text.rpartition(b"\n")
        if torn:
            # Its chunk was not sent: that waits until its line is on the disk.
            self._file.truncate(len(text) - len(torn))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._remember([Record(**json.loads(line))])
            except (ValueError, TypeError) as error:
                self._file.close()
                raise JournalError(
                    f"line {number} of {self._path} is none of a journal; move the file away, "
                    "or name another with --journal"
                ) from error

    def _remember(self, records: Sequence[Record]) -> None:
        for record in records:
            known = self._records.setdefault(record.after, {})
            if record.state == UNSENT:
                known.pop(record.chunk, None)
            else:
                known[record.chunk] = record
