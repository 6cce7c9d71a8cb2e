"""Imports one file: chunk after chunk, each noted in the journal before it is sent."""

import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from metrics.cli.delivery import REPEAT_S, Collectors, NotSentError
from metrics.cli.failures import NoAnswerError
from metrics.cli.importing import chunks
from metrics.cli.importing.chunks import Chunk
from metrics.cli.importing.formats import Format, Message, OtherLineError, Read
from metrics.cli.importing.journal import DONE, SENT, UNSENT, Journal, Record
from metrics.client.outcome import Outcome, Result
from metrics.errors import InvalidMessageError

ASK, SEND, SKIP = "ask", "send", "skip"
"""What to do with a chunk of which nobody knows any more whether it counts."""

_GZIP_LEVEL = 1
_REFUSED_FOR_ITSELF = "400"


@dataclass(slots=True)
class Counts:
    """What came of a file.

    Attributes:
        accepted: Messages that a collector took, now or by a try before.
        rejected: Those that break a rule.
        reason: Which one, of the first.
        before: Bytes that an earlier import has brought.
        skipped: Lines without a message, by why.
        open_line: Whether the last line has no end yet, and is left for the next time.
    """

    accepted: int = 0
    rejected: int = 0
    reason: str = ""
    before: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    open_line: bool = False

    def reject(self, count: int, reason: str) -> None:
        """Count messages that break a rule."""
        self.rejected += count
        self.reason = self.reason or reason


class Import:
    """One import of one file.

    Args:
        file: What to read, from its beginning; of a compressed file what is in it.
        beginning: The name of what comes before the first byte.
        format_: Of the file.
        read: Reads a line.
        collectors: The way to them.
        to: Their URLs, for the journal.
        journal: What is known already.
        unknown: ``ASK``, ``SEND`` or ``SKIP``.
        now: The clock, in Unix seconds.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        beginning: str,
        format_: Format,
        read: Read,
        collectors: Collectors,
        to: str,
        journal: Journal,
        unknown: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._beginning = beginning
        self._format = format_
        self._read = read
        self._collectors = collectors
        self._to = to
        self._journal = journal
        self._unknown = unknown
        self._now = now
        self._done: list[Record] = []
        self.counts = Counts()

    def run(self) -> Iterator[int]:
        """Bring everything to the collectors; yield after each chunk how far it is, in bytes.

        Raises:
            NoAnswerError: If it cannot go on; imported again it goes on from there.
        """
        after, at = self._beginning, 0
        try:
            while found := self._chunk_at(after, at):
                chunk, known = found
                if known is not None and known.state == DONE:
                    self.counts.before += len(chunk.data)
                else:
                    self._bring(chunk, known)
                after, at = chunk.name, chunk.end
                yield at
        finally:
            self._journal.note(*self._done)

    def _chunk_at(self, after: str, at: int) -> tuple[Chunk, Record | None] | None:
        """Return the chunk at a place, and what is known of it; None at the end of the file."""
        records = self._journal.after(after)
        ends = [(record.end, record.chunk) for record in records]
        chunk = chunks.known_chunk(self._file, after, at, ends)
        if chunk is not None:
            known = next(record for record in records if record.chunk == chunk.name)
            if known.to != self._to:
                raise NoAnswerError(
                    f"this was imported to {known.to} before. To import it to {self._to} as well, "
                    "name another --journal"
                )
            return chunk, known
        try:
            chunk = chunks.next_chunk(self._file, after, at, self._format.chunk_bytes)
        except ValueError as error:
            raise NoAnswerError(f"{error}: is this such a file?") from error
        if chunk is not None and self._format.is_live and not chunk.data.endswith(b"\n"):
            self.counts.open_line = True
            chunk = chunks.without_open_line(chunk)
        return None if chunk is None else (chunk, None)

    def _bring(self, chunk: Chunk, known: Record | None) -> None:
        """Send a chunk, unless nobody knows any more whether it counts."""
        now = self._now()
        first_at = now if known is None else known.at
        if now - first_at > REPEAT_S:
            if self._unknown == ASK:
                raise NoAnswerError(self._question(chunk, first_at))
            if self._unknown == SKIP:
                self._done = [self._record(chunk, DONE, first_at)]
                self.counts.skipped["left out, as it may count already"] += chunk.data.count(b"\n")
                return
            first_at = now
        messages = list(self._messages(chunk))
        sent = self._record(chunk, SENT, first_at)
        # In one go with the outcome of the one before: the disk is waited for once a chunk.
        self._journal.note(*self._done, sent)
        self._done = []
        if messages:
            self._count(self._post(chunk, messages, sent, now - first_at), len(messages))
        self._done = [replace(sent, state=DONE)]

    def _post(
        self, chunk: Chunk, messages: Sequence[Message], sent: Record, ago_s: float
    ) -> Result:
        try:
            return self._collectors.post(
                gzip.compress(body_of(messages), _GZIP_LEVEL, mtime=0),
                lines=len(messages),
                idempotency_key=f"import/{chunk.name}",
                is_gzip=True,
                sent_s_ago=ago_s or None,
            )
        except NotSentError:
            if not ago_s:
                self._journal.note(replace(sent, state=UNSENT))
            raise

    def _count(self, result: Result, messages: int) -> None:
        if result.outcome is Outcome.ACCEPTED:
            self.counts.accepted += messages - result.rejected
            self.counts.reject(result.rejected, result.detail)
        elif result.detail.startswith(_REFUSED_FOR_ITSELF):
            self.counts.reject(messages, result.detail)
        else:
            raise NoAnswerError(f"a collector refuses: {result.detail}")

    def _messages(self, chunk: Chunk) -> Iterator[Message]:
        for line in chunk.data.decode("utf-8", "replace").split("\n"):
            if not line.strip():
                continue
            try:
                message = self._read(line.rstrip("\r"))
                if message is not None:
                    yield message
            except OtherLineError as error:
                self.counts.skipped[str(error)] += 1
            except InvalidMessageError as error:
                self.counts.reject(1, str(error))

    def _record(self, chunk: Chunk, state: str, at: float) -> Record:
        return Record(state, at, self._to, chunk.name, chunk.after, chunk.start, chunk.end)

    def _question(self, chunk: Chunk, at: float) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
        lines = chunk.data.count(b"\n")
        return (
            f"{lines} lines from byte {chunk.start} on were sent at {when} UTC, and it is not "
            "known whether they count; collectors remember that no longer. Look at their hours "
            "(python -m metrics query KEY count DATE), then import again with --unknown skip "
            "if they count, or with --unknown send if they do not"
        )


def body_of(messages: Sequence[Message]) -> bytes:
    """Return messages as JSON columns: the same bytes for the same messages."""
    columns: dict[tuple[str, bool], list[Message]] = {}
    for message in messages:
        columns.setdefault((message.key, message.timestamp is None), []).append(message)
    items = []
    for (key, is_untimed), some in columns.items():
        item: dict[str, object] = {"key": key, "values": [each.value for each in some]}
        if not is_untimed:
            item["timestamps"] = [each.timestamp for each in some]
        items.append(item)
    return json.dumps(items, separators=(",", ":")).encode()
