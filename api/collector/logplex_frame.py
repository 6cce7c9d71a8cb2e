"""What a log drain sends: lines of a platform's router, of which each is a message.

Source:
    Heroku, "Log Drains" and "HTTP routing"; heroku/logplex, doc/README.http_drains.md and
    src/logplex_syslog_utils.erl; RFC 6587, section 3.4.1 (octet counting); RFC 5424, whose
    STRUCTURED-DATA Logplex leaves out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from api.collector.batch_builder import BatchBuilder
from api.collector.bounded import BYTES_PER_WORK, bound
from metrics.errors import InvalidMessageError
from metrics.message import NUMBER_LENGTH_MAX, parse_value

LINE_LENGTH_MAX = 16_384
"""How long a line may be that is looked at; Logplex cuts lines at 10,000 bytes."""

# What was matched is not tried again in parts: of blanks alone there may be millions.
_COUNT = re.compile(rb"\s*+([0-9]{1,9}) ")
# Priority, version, time, host, app-name, procid, msgid.
_HEADER = re.compile(r"<\d{1,3}>1 (\S+) \S+ (\S+) (\S+) \S+ ", re.ASCII)
_FIELD = re.compile(r'(?<!\S)([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|\S*)', re.ASCII)
_DURATION = re.compile(r"(.*?)(ms|us|µs|s)?")
_MS_PER = {None: 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
_L10 = re.compile(r"Error L10\b[^\n]*")
_LOST = re.compile(r"([0-9]{1,9}) messages? dropped|dropped ([0-9]{1,9}) messages?")
_LOGPLEX, _ROUTER = ("heroku", "logplex"), ("heroku", "router")
_LOGPLEX_BYTES = b" heroku logplex "


@dataclass(frozen=True, slots=True)
class Frame:
    """The lines of one request.

    Attributes:
        lines: In their order.
        unread: How many bytes at the end are no lines.
    """

    lines: list[bytes]
    unread: int = 0

    @classmethod
    def of_octets(cls, body: bytes, pause_if_due: Callable[[], None]) -> "Frame":
        """Return the lines of a body in which each stands behind the number of its bytes.

        Raises:
            Problem: If it has too many.
        """
        lines: list[bytes] = []
        end = 0
        while (count := _COUNT.match(body, end)) and count.end() + int(count[1]) <= len(body):
            end = count.end() + int(count[1])
            lines.append(body[count.end() : end])
            bound(len(lines))
            pause_if_due()
        return cls(lines, len(body[end:].strip()))

    @classmethod
    def of_text(cls, body: bytes) -> "Frame":
        """Return the lines of a text.

        Raises:
            Problem: If it has too many.
        """
        body = body.strip()
        bound(body.count(b"\n") + 1)
        return cls([line for line in body.split(b"\n") if line.strip()])

    def own(self, pause_if_due: Callable[[], None]) -> bytes:
        """Return what is the same each time it is sent: all but Logplex' lines of what it lost."""
        found = []
        for line in self.lines:
            if not (_LOGPLEX_BYTES in line and b"Error L10" in line):
                found.append(line)
            pause_if_due()
        return b"\n".join(found)


@dataclass(frozen=True, slots=True)
class Fields:
    """Which part of a line is what.

    Attributes:
        app: What stands in front of each key; nothing if it is empty.
        key: The field that names the instance.
        duration: The field that is the response time.
        only_router: Whether only lines of Heroku's router are looked at.
    """

    app: str
    key: str = "dyno"
    duration: str = "service"
    only_router: bool = True

    @property
    def drain_key(self) -> str:
        """The key of what the drain itself lost."""
        return self.key_of("drain")

    def key_of(self, instance: str) -> str:
        """Return the key of an instance."""
        return f"{self.app}.{instance}" if self.app else instance


def read(frame: Frame, fields: Fields, builder: BatchBuilder) -> None:
    """Give the messages of a frame to a batch builder; lines that are none are ignored."""
    for line in frame.lines:
        builder.work(1 + len(line) // BYTES_PER_WORK)
        _add_line(line[:LINE_LENGTH_MAX].decode("utf-8", "replace"), fields, builder)
    if frame.unread:
        builder.reject(
            f"the last {frame.unread} bytes are no lines, each behind the number of its bytes"
        )


def _add_line(line: str, fields: Fields, builder: BatchBuilder) -> None:
    header = _HEADER.match(line)
    timestamp = header[1] if header else None
    source = (header[2], header[3]) if header else None
    # One after the other: each error that has no number would be followed to the line's end.
    if source == _LOGPLEX and (error := _L10.search(line)) and (lost := _LOST.search(error[0])):
        if int(lost[1] or lost[2]):
            builder.add_report(fields.drain_key, int(lost[1] or lost[2]), timestamp)
        return
    instance = duration = ""
    if source == _ROUTER or not fields.only_router:
        # Of two equal names the last counts: what a browser sent stands before.
        found = dict(_FIELD.findall(line, header.end() if header else 0))
        instance, duration = (
            found.get(name, "").strip('"') for name in (fields.key, fields.duration)
        )
    if not (instance and duration):
        builder.ignore()
        return
    try:
        value = _milliseconds(duration)
    except InvalidMessageError as error:
        builder.reject(error)
    else:
        builder.add(fields.key_of(instance), value, timestamp)


def _milliseconds(duration: str) -> float:
    """Return a duration in milliseconds; so it is if it names no unit.

    Raises:
        InvalidMessageError: If it is none.
    """
    found = _DURATION.fullmatch(duration[: NUMBER_LENGTH_MAX + 8])
    assert found is not None  # noqa: S101  (any text matches)
    return parse_value(found[1]) * _MS_PER[found[2]]
