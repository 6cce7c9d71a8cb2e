"""Lines: StatsD's, those of files that are imported, and what collectors answer a client."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import cast

from metrics import statsd_line
from metrics.cli.importing.formats import FORMATS, Message, OtherLineError, reader
from metrics.client.client import Client
from metrics.client.connection import Answer
from metrics.client.outcome import Result, classify
from metrics.errors import InvalidMessageError
from metrics.message import WEIGHT_MAX, check_key, check_value, is_key
from metrics.statsd.datagrams import DATAGRAM_BYTES_MAX
from metrics.statsd.intake import MESSAGES_MAX, Intake
from metrics.statsd.names import Mapping, Names
from metrics.statsd_line import Timing
from ops.lab.fuzz.target import Pause, Target, require

PIECE_BYTES_MAX = DATAGRAM_BYTES_MAX // 4
"""What an agent reads within the limit whatever is in it; docs/reliability.md has the rest."""

_STATSD = [
    b"checkout.web-1:123.4|ms",
    b"a:b:1:2:3|h|@0.1|#x:y,z|c:1|e:2|card:low|T1656581400",
    b"axayazab:1|ms",
    b"a:1|c\n_e{1,1}:a|b\n_sc|a|1\nb:1|ms\n\nc:nan|d|@1e-6",
]


def _read_line(data: bytes, _: Pause) -> Timing | None:
    return statsd_line.parse(data.decode("utf-8", "replace"))


def _check_timing(_: bytes, timing: Timing | None) -> None:
    if timing is None:
        return
    require(1 <= timing.weight <= WEIGHT_MAX, "a timing stands for no number", timing)
    require(bool(timing.values), "a timing has no value", timing)
    written = f"{':'.join([timing.key, *timing.values])}|ms"
    again = statsd_line.parse(written)
    require(again is not None and again.weight == 1, "what was read is no timing", written)
    if again is not None:
        require(again.values == timing.values, "what was read has other values", written)


@dataclass
class _Recorder:
    """Takes what an agent gives to its client."""

    recorded: list[tuple[str, float]] = field(default_factory=list)
    lost: int = 0

    def record(self, key: str, value: float) -> None:
        """Note a value."""
        self.recorded.append((key, value))

    def report_dropped(self, key: str, dropped: int) -> None:
        """Note a loss."""
        self.lost += dropped
        check_key(key)


def _take(data: bytes, _: Pause) -> tuple[Intake, _Recorder]:
    client = _Recorder()
    names = Names(prefix="x.", mappings=[Mapping.parse("a*a*a*b=$1.$2.$3")])
    intake = Intake(cast("Client", client), names, own_key="agent")
    intake.take(data[:PIECE_BYTES_MAX])
    return intake, client


def _check_intake(_: bytes, found: tuple[Intake, _Recorder]) -> None:
    intake, client = found
    counts = intake.counts
    require(counts.recorded == len(client.recorded), "a value is not recorded", counts)
    require(counts.recorded <= MESSAGES_MAX, "one datagram stands for too many", counts)
    for key, value in client.recorded:
        require(is_key(key) and check_value(value) >= 0, "what was recorded is no message", key)
    intake.report()
    bad = counts.unreadable + counts.without_key + counts.oversized
    require(client.lost == bad, "a loss is not reported", client.lost, counts)


_FILES = {
    "csv": [
        b'key,value,timestamp\na,1,1795444200\n"b",2,2026-11-23T14:10:00Z\n',
        b'a,"1\n',
        b"value,key\n1,a",
    ],
    "nginx": [
        b'1.2.3.4 - - [23/Nov/2026:14:10:00 +0100] "GET / HTTP/1.1" 200 5 "-" "x" 0.123',
        b'2026-11-23T14:10:00+00:00 "GET /" rt=0.005',
        b'2026-11-21T34:10:00+00:00 "GET /" rt=0.005',
    ],
    "haproxy": [
        b"h[1]: 1.2.3.4:5 [23/Nov/2026:14:10:00.123] http~ app/web1 1/0/30/69/109 200 2750 -",
        b"x [31/Feb/2026:14:10:00.123] a b/<NOSRV> 0/0/0/0/+1 2",
    ],
    "router": [
        b'<158>1 2026-11-23T14:10:00.5+00:00 host heroku router - at=info path="/" dyno=web.1 '
        b"service=18ms",
        b"2026-11-23T14:10:00Z app[router]: dyno= service=1",
        b"2026-31-23T14:10:00Z app[router]: service=1",
    ],
}
_KEYS = {"csv": "", "nginx": "a", "haproxy": "{backend}.{server}", "router": "checkout.{dyno}"}


def _read_file(name: str, data: bytes, _: Pause) -> list[Message]:
    # One line takes what is promised; a file has any number of them.
    lines = data.decode("utf-8", "replace").split("\n")[:20]
    read = reader(name, _KEYS[name], UTC, lines[0])
    found = []
    for line in lines:
        try:
            message = read(line)
        except (OtherLineError, InvalidMessageError) as error:
            require(bool(str(error)), "a line is refused without a reason", line)
        else:
            found += [message] if message else []
    return found


def _check_messages(_: bytes, messages: Sequence[Message]) -> None:
    for message in messages:
        check_key(message.key)
        check_value(message.value)


def _read_answer(data: bytes, _: Pause) -> Result:
    first, body = data.partition(b"\n")[::2]
    status = int(first) if first.isdigit() and len(first) < 4 else 202
    return classify(Answer(status, body), 100)


def _check_result(_: bytes, result: Result) -> None:
    require(0 <= result.rejected <= 100, "more is rejected than was sent", result)
    require(result.accepted >= 0, "less than nothing is accepted", result)
    require(len(result.detail) <= 800, "a detail is too long", result)
    result.detail.encode()


LINES: dict[str, Target[Timing | None]] = {
    "statsd": Target(_read_line, (InvalidMessageError,), _check_timing, _STATSD),
}

AGENT: Target[tuple[Intake, _Recorder]] = Target(_take, (), _check_intake, [*_STATSD, b"a" * 512])

# A first line that is no CSV is refused as a whole.
FILES: dict[str, Target[list[Message]]] = {
    f"import {name}": Target(
        partial(_read_file, name), (InvalidMessageError,), _check_messages, _FILES[name]
    )
    for name in FORMATS
}

ANSWER: Target[Result] = Target(
    _read_answer,
    (),
    _check_result,
    [
        b'202\n{"accepted":1,"rejected":1,"errors":[{"index":0,"detail":"\\ud800"}]}',
        b'503\n{"stored":"no","detail":"away"}',
        b"301\n<html>",
        b'400\n{"title":[1],"detail":{"a":1}}',
        b'202\n{"accepted":-1,"rejected":1e999,"errors":{}}',
    ],
)
