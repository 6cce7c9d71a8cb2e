"""Bodies of requests: what is accepted reads the same in Redis, and what is rejected is named."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial

from api.collector import logplex_frame
from api.collector.batch_builder import BatchBuilder
from api.collector.bodies import read_body
from api.collector.fast_json import read_singles
from api.collector.logplex_frame import Fields, Frame
from api.collector.rejection import ERRORS_SHOWN_MAX
from api.problems import Problem
from metrics.entry import TEXT_LENGTH_MAX, PendingEntry, pack, read_key_hour, read_values
from metrics.fold import Folded, fold
from metrics.hours import Hour
from metrics.stream import SingleMessage
from ops.lab.fuzz.target import Pause, Target, require

PARTITIONS = 16
HOUR = Hour.parse("2026-11-23T14")
ARRIVAL = HOUR.start + 1800.0
RETENTION_DAYS = 30
ENTRY_ID = b"%d-0" % (HOUR.start * 1000)

JSON, LINES, FORM = "application/json", "application/x-ndjson", "application/x-www-form-urlencoded"
TEXT, CSV = "text/plain", "text/csv"

_DETAIL_LENGTH_MAX = 600
_REPEATED_MAX = 100
"""A sampled value stands for up to a million messages, which would have to be written."""

Values = dict[bytes, Counter[float]]
"""Of each key-hour its values, and for how many messages each stands."""


def builder_of(pause: Pause = lambda: None) -> BatchBuilder:
    """Return the builder of a request at ``ARRIVAL``."""
    return BatchBuilder(
        arrival=ARRIVAL,
        retention_days=RETENTION_DAYS,
        may_write=lambda _: True,
        pause_if_due=pause,
    )


def read(content_type: str, body: bytes, pause: Pause = lambda: None) -> BatchBuilder:
    """Read a body as a collector does.

    Raises:
        Problem: If it is refused.
    """
    builder = builder_of(pause)
    read_body(content_type, body, builder)
    return builder


def read_frame(
    fields: Fields, make: Callable[[bytes, Pause], Frame], body: bytes, pause: Pause
) -> BatchBuilder:
    """Read what a log drain sends.

    Raises:
        Problem: If it is refused.
    """
    builder = builder_of(pause)
    logplex_frame.read(make(body, pause), fields, builder)
    return builder


def check(_: bytes, builder: BatchBuilder) -> None:
    """See that a worker finds what was accepted, and that each rejection is named."""
    _check_rejections(builder)
    stored, folded = stored_by(builder)
    require(folded.messages == builder.accepted, "a worker counts others", folded, builder.accepted)
    dropped = sum(aggregate.dropped for aggregate in folded.aggregates.values())
    require(dropped == builder.dropped, "a worker counts other losses", dropped, builder.dropped)
    few = {
        field: Counter({value: min(count, _REPEATED_MAX) for value, count in counts.items()})
        for field, counts in stored.items()
    }
    again = read(JSON, _written(few))
    require(again.rejected == 0, "what was accepted is rejected", again.errors)
    require(stored_by(again)[0] == few, "what was accepted reads otherwise", few)


def check_json(body: bytes, builder: BatchBuilder) -> None:
    """See the same, and that the fast path takes nothing that the slow one would not."""
    check(body, builder)
    text = body.strip()
    if builder.rejected or not builder.accepted or len(text) > 100_000:
        return
    is_array = text[:1] == b"[" and not _is_pair(text)
    # Beside what is no message, all is read the slow way.
    slow = read(JSON, text[:-1] + b",0]" if is_array else b"[" + text + b",0]")
    require(slow.rejected == 1, "the slow path rejects more", slow.errors)
    require(stored_by(slow)[0] == stored_by(builder)[0], "the slow path reads otherwise", body)


def check_singles(body: bytes, found: "list[SingleMessage] | None") -> None:
    """See that messages that came alone are read together as each by itself."""
    for each, single in zip(_apart(body), found or (), strict=bool(found)):
        alone, _ = stored_by(read(JSON, each))
        told = {single.key_hour.encode(): Counter([single.value])}
        require(alone == told, "together it reads otherwise", alone, told)


def stored_by(builder: BatchBuilder) -> tuple[Values, Folded]:
    """Return what a worker finds of the messages of a request."""
    stored: Values = {}
    pending = []
    for columns in builder.columns(PARTITIONS).values():
        for column in columns:
            if not column.dropped:
                values, weights = read_values([column.text.encode()])
                require(len(values) == column.messages, "a column has another length", column)
                counts = stored.setdefault(column.key_hour.encode(), Counter())
                for value, weight in zip(values, weights or [1] * len(values), strict=True):
                    counts[value] += weight
        for entry in pack(columns):
            fields = [
                part for c in entry.columns for part in (c.key_hour.encode(), c.text.encode())
            ]
            length = sum(map(len, fields[1::2]))
            require(length <= TEXT_LENGTH_MAX + 1024, "an entry is too long", length)
            pending.append(PendingEntry(ENTRY_ID, fields))
    return stored, fold(pending, lateness_s=1e9)


def _check_rejections(builder: BatchBuilder) -> None:
    places = builder.accepted + builder.reports + builder.rejected + builder.ignored
    errors = builder.errors
    require(builder.reasons.total() == builder.rejected, "a rejection has no reason", errors)
    require(len(errors) == min(builder.rejected, ERRORS_SHOWN_MAX), "an error is not shown", errors)
    for error in errors:
        require(0 <= error.index < max(places, 1), "an error names no message", error)
        require(0 < len(error.detail) <= _DETAIL_LENGTH_MAX, "an error says nothing", error)


def _written(stored: Values) -> bytes:
    """Return values as columns of JSON, each at a moment of its hour."""
    columns = []
    for field, counts in stored.items():
        key, hour = read_key_hour(field)
        # The first hour that is taken may have begun before that.
        moment = min(hour.end - 1, int(ARRIVAL) + 300)
        values = list(counts.elements())
        columns.append({"key": key, "values": values, "timestamps": [moment] * len(values)})
    return json.dumps(columns).encode()


def _is_pair(text: bytes) -> bool:
    content = json.loads(text)
    return isinstance(content, list) and len(content) == 2 and isinstance(content[0], str)


def _apart(body: bytes) -> list[bytes]:
    return body.split(b"\x1e")


_REFUSED = (Problem,)

_LINE = b"2026-11-23T14:10:00+00:00 host heroku"

BODIES: dict[str, Target[BatchBuilder]] = {
    "json": Target(
        partial(read, JSON),
        _REFUSED,
        check_json,
        [
            b'{"key":"checkout.web-1","value":123.4}',
            b'["checkout.web-1",1e3]',
            b'[{"key":"a","value":1},["b",2.5],{"key":"c","value":"x"}]',
            b'[{"key":"a","values":[1,2,3],"timestamps":[1795444200,1795447800,1795444300]}]',
            b'{"key":"a","dropped":17,"timestamp":1795444200}',
            b'[{"key":"a","value":1,"timestamp":"2026-11-23T14:10:00Z"},{"key":"a","key":"b"}]',
            b'{"key":"a","value":NaN}',
            b'\xef\xbb\xbf{"key":"a\xff","value":' + b"[" * 1000,
        ],
    ),
    "ndjson": Target(
        partial(read, LINES),
        _REFUSED,
        check,
        [
            b'{"key":"a","value":1}\n["b",2]\r\n\n{"key":"c","values":[0.1,5e-324]}\n',
            b'{"key":"a","value":1}{"key":"b"}\nnull\n[[],[]]\n{"key":"a","dropped":1}',
        ],
    ),
    "text": Target(
        partial(read, TEXT),
        _REFUSED,
        check,
        [
            b"checkout.web-1,123.4\n(a,1)\n('b', 2)\n",
            b"a:1|ms\nb:1:2:3|h|@0.1|#x:y\nc:1|c\nd:e:5|d|T1656581400\n_sc|x|1",
            b"a,1e999\nb,-1\n,\n|\nkey,value\na,+.5e-3",
        ],
    ),
    "csv": Target(
        partial(read, CSV),
        _REFUSED,
        check,
        [b'\xef\xbb\xbf"key","value"\r\n"a","1.5"\r\n"b,c",2\r\n', b"key;value\na;1"],
    ),
    "form": Target(
        partial(read, FORM),
        _REFUSED,
        check,
        [
            b"key=checkout.web-1&value=123.4",
            b"key=a&value=1&timestamp=1795444200.5",
            b"key=%ff&value=%31&timestamp=2026-11-23T14%3A10%3A00Z",
            b"a,1",
            b'[{"key":"a","value":1}]',
        ],
    ),
    "logplex": Target(
        partial(read_frame, Fields("checkout"), Frame.of_octets),
        _REFUSED,
        check,
        [
            b"108 <158>1 "
            + _LINE
            + b' router - at=info path="/" dyno=web.1 connect=1ms service=18ms'
            b" status=200 x",
            b"97 <172>1 " + _LINE + b" logplex - Error L10 (output buffer overflow): "
            b"491 messages dropped since x",
            b"0 1 a12 <1>1 a b c d 999999999 x",
        ],
    ),
    "logplex as text": Target(
        partial(
            read_frame,
            Fields("", "host", "took", only_router=False),
            lambda body, _: Frame.of_text(body),
        ),
        _REFUSED,
        check,
        [
            b"<158>1 " + _LINE + b' app - host=a took=1.5s\nhost="b" took="7us"',
            b"host=a took=1\xc2\xb5s\nhost= took=\nhost=x host=y took=1e3ms",
            b"<1>1 2026-11-23T14:10:00Z h heroku logplex - Error L10 dropped 7 messages",
            b"<1>1 2026-11-23T14:10:00Z h heroku logplex - Error L10 1 message  dropped Error L10 ",
        ],
    ),
}

SINGLES: Target["list[SingleMessage] | None"] = Target(
    lambda body, _: _read_singles(body),
    (),
    check_singles,
    [
        b'{"key":"a","value":1}\x1e{"key":"b","value":2.5}',
        b'{"key":"a","value":"}\x1e{"}\x1e{"value":0,"key":"b"}',
    ],
)


def _read_singles(body: bytes) -> list[SingleMessage] | None:
    found = read_singles(_apart(body), HOUR.number, PARTITIONS)
    return None if found is None else list(found)
