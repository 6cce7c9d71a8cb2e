"""The formats of files: what a line says of a key, a response time and a moment.

Sources:
    nginx, ngx_http_log_module and ``$request_time``; HAProxy, Configuration Manual, 8.2.3 "HTTP log
    format"; Heroku Dev Center, "HTTP Routing", "Heroku router log format".
"""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from metrics.errors import InvalidMessageError
from metrics.message import check_key, parse_value

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_DATE = rf"(\d{{2}})/({_MONTHS.replace(' ', '|')})/(\d{{4}}):(\d{{2}}):(\d{{2}}):(\d{{2}})"
_ISO = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})"
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_QUOTED = re.compile(r'(?<![=:])"[^"]*"')
_NGINX_TIME = re.compile(rf"\[{_DATE} ([+-])(\d{{2}})(\d{{2}})\]|({_ISO})", re.ASCII)
_NGINX_NAMED = re.compile(r'\b(?:rt|request_time)[=:]"?(\d{1,9}\.\d{1,6})', re.ASCII)
_NGINX_LAST = re.compile(r"(?<!\S)(\d{1,9}\.\d{3})(?!\S)", re.ASCII)
_HAPROXY = re.compile(
    rf"\[{_DATE}\.(\d{{3}})\] (\S+) ([^\s/]+)/(\S+) (?:-?\d+/){{4}}(\+?)(\d{{1,12}}) ", re.ASCII
)
_ROUTER_TIME = re.compile(rf"(?:<\d{{1,3}}>1 )?({_ISO}) ", re.ASCII)
_ROUTER_FIELD = re.compile(r"\b(dyno|service)=(\S*)", re.ASCII)


class OtherLineError(Exception):
    """A line that has no message in it, and need not; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a line says.

    Attributes:
        key: One app instance.
        value: Milliseconds; of a CSV, what it has.
        timestamp: Unix seconds or RFC 3339; None if the line has none.
    """

    key: str
    value: float
    timestamp: float | str | None


Read = Callable[[str], Message | None]
"""Returns the message of a line, None for a header; raises ``OtherLineError`` where there is none,
and ``InvalidMessageError`` for one that breaks a rule."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files.

    Attributes:
        fields: What a key may be made of: ``{backend}``.
        key: How it is made if nobody says; empty if somebody must.
        chunk_bytes: How much of a file is sent at once: no more keys than a collector takes.
        is_live: Whether a last line without an end is still being written.
    """

    fields: tuple[str, ...]
    key: str
    chunk_bytes: int
    is_live: bool


FORMATS: Mapping[str, Format] = {
    "csv": Format((), "", chunk_bytes=65_536, is_live=False),
    "nginx": Format((), "", chunk_bytes=262_144, is_live=True),
    "haproxy": Format(("frontend", "backend", "server"), "{backend}.{server}", 262_144, True),
    "router": Format(("dyno",), "", chunk_bytes=262_144, is_live=True),
}


def reader(name: str, key: str, zone: tzinfo, first_line: str) -> Read:
    """Return what reads the lines of a format.

    Args:
        name: Of the format.
        key: How a key is made; of no use to a CSV.
        zone: Of times that say none.
        first_line: Of the file: the header of a CSV.

    Raises:
        ValueError: If no key can be made so.
    """
    if name == "csv":
        return _csv_reader(first_line)
    fields = FORMATS[name].fields
    try:
        check_key(key.format_map(dict.fromkeys(fields, "x")))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        may = "".join(f" {{{field}}}" for field in fields)
        raise ValueError(
            f"--key must be a key such as checkout.web-1{', and may hold' + may if may else ''}: "
            f"got {key!r}"
        ) from error
    if name == "nginx":
        return lambda line: _nginx(line, key)
    if name == "haproxy":
        return lambda line: _haproxy(line, key, zone)
    return lambda line: _router(line, key)


def _csv_reader(first_line: str) -> Read:
    names = [name.lower() for name in _cells(first_line)]
    has_header = {"key", "value"} <= set(names)
    columns = names if has_header else ["key", "value", "timestamp"]

    def read(line: str) -> Message | None:
        if has_header and line == first_line:
            return None
        cells = _cells(line)
        found = dict(zip(columns, cells, strict=False))
        if len(cells) < 2:
            raise InvalidMessageError("a line must be key,value or key,value,timestamp", got=line)
        timestamp: str | float | None = found.get("timestamp") or None
        if timestamp is not None and _NUMBER.fullmatch(str(timestamp)):
            timestamp = float(timestamp)
        value = parse_value(found.get("value", ""))
        return Message(check_key(found.get("key", "")), value, timestamp)

    return read


def _cells(line: str) -> list[str]:
    """Return the cells of a line of a CSV (RFC 4180), without what Windows writes first."""
    try:
        return [cell.strip() for cell in next(csv.reader([line.lstrip("\ufeff")]), [])]
    except csv.Error as error:
        raise InvalidMessageError(f"a line is no CSV: {error}", got=line) from error


def _nginx(line: str, key: str) -> Message:
    # Without what clients have written: there a path could name a time of its own.
    ours = _QUOTED.sub('""', line)
    when = _NGINX_TIME.search(ours)
    took = _NGINX_NAMED.search(ours) or _NGINX_LAST.search(ours[ours.rfind('"') + 1 :])
    if when is None or took is None:
        raise OtherLineError("no time, or no $request_time")
    if when[10]:
        timestamp = _iso(when[10])
    else:
        offset = timedelta(hours=int(when[8]), minutes=int(when[9]))
        timestamp = _moment(when.groups()[:6], -offset if when[7] == "-" else offset)
    return Message(key, round(float(took[1]) * 1000, 3), timestamp)


def _haproxy(line: str, key: str, zone: tzinfo) -> Message:
    found = _HAPROXY.search(line)
    if found is None:
        raise OtherLineError("not of the HTTP log format")
    if found[11]:
        raise OtherLineError("logged before its end (option logasap)")
    fields = {"frontend": found[8].rstrip("~"), "backend": found[9], "server": found[10]}
    # <NOSRV> is where no server was chosen.
    plain = {name: text.strip("<>") for name, text in fields.items()}
    timestamp = _moment(found.groups()[:6], zone) + int(found[7]) / 1000
    return Message(check_key(key.format_map(plain)), float(found[12]), timestamp)


def _router(line: str, key: str) -> Message:
    when = _ROUTER_TIME.match(line)
    # Behind the path, the host and what else a client chose.
    fields = dict(_ROUTER_FIELD.findall(_QUOTED.sub("", line.replace('="', ' "'))))
    service = fields.get("service", "").removesuffix("ms")
    if when is None or "router" not in line or not service.isdecimal():
        raise OtherLineError("no line of the router with a service time")
    try:
        name = key.format_map(fields)
    except KeyError as error:
        raise OtherLineError("no dyno") from error
    return Message(check_key(name), float(service), _iso(when[1]))


def _iso(text: str) -> float:
    """Return a moment of RFC 3339 in Unix seconds."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise OtherLineError("no time that there is") from error


def _moment(parts: tuple[str, ...], zone: tzinfo | timedelta) -> float:
    """Return a moment in Unix seconds; of a zone, or so far ahead of UTC."""
    day, month, year, *clock = parts
    hour, minute, second = map(int, clock)
    number = _MONTHS.split().index(month) + 1
    try:
        of = timezone(zone) if isinstance(zone, timedelta) else zone
        return datetime(int(year), number, int(day), hour, minute, second, tzinfo=of).timestamp()
    except (ValueError, OverflowError) as error:
        raise OtherLineError("no time that there is") from error
