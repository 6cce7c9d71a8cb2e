"""Text: on each line a message as CSV has it, or a StatsD timing with one value or several."""

import re
from codecs import BOM_UTF8

from api.collector.batch_builder import BatchBuilder
from api.collector.bounded import JOINED_BY_CURL, LINE_LENGTH_MAX, bound, decode, lines
from metrics import statsd_line
from metrics.errors import InvalidMessageError
from metrics.message import parse_value

_HEADER = ("key", "value")

_STATSD = re.compile(r":[^:|]*\|(?:ms|[hdcgs])(?!:)")
"""What is once in a line of StatsD."""


def read(body: bytes, builder: BatchBuilder) -> None:
    """Give the messages of a text to a batch builder; a bad line is rejected.

    Raises:
        Problem: If it is not UTF-8, or has too many messages.
    """
    # Spreadsheets write CSV with U+FEFF in front of it.
    text = decode(body.removeprefix(BOM_UTF8)).strip()
    is_one_line = "\n" not in text
    messages = 0
    for line in lines(text, "\n", builder):
        try:
            messages += _add_line(line, builder)
        except InvalidMessageError as error:
            is_joined = is_one_line and _seems_joined(line[:LINE_LENGTH_MAX])
            builder.reject(f"{error}; {JOINED_BY_CURL}" if is_joined else error)
            messages += 1
        bound(messages)


def _add_line(line: str, builder: BatchBuilder) -> int:
    """Add what a line holds; return how many messages that are."""
    if len(line) > LINE_LENGTH_MAX:
        raise InvalidMessageError(
            "a line may have at most %d characters", LINE_LENGTH_MAX, got=line
        )
    if "|" in line:
        return _add_statsd(line, builder)
    row = line[1:-1] if line[0] == "(" and line[-1] == ")" else line
    key, comma, value = row.partition(",")
    if not comma:
        raise InvalidMessageError("a line must be key,value or key:value|ms", got=line)
    key, value = _unquoted(key), _unquoted(value)
    if (key.lower(), value.lower()) == _HEADER:
        return 0
    builder.add(key, parse_value(value))
    return 1


def _add_statsd(line: str, builder: BatchBuilder) -> int:
    timing = statsd_line.parse(line)
    if timing is None:
        builder.ignore()
        return 1
    for value in timing.values:
        try:
            number = parse_value(value)
        except InvalidMessageError as error:
            builder.reject(error)
        else:
            builder.add(timing.key, number, weight=timing.weight)
    return len(timing.values)


def _seems_joined(line: str) -> bool:
    """Return whether a line was several, before newlines were taken out of the text."""
    return len(_STATSD.findall(line)) > 1 if "|" in line else line.count(",") > 1


def _unquoted(field: str) -> str:
    """Return a field without spaces and quotes around it: CSV's, or those of a tuple in Python."""
    field = field.strip()
    if len(field) > 1 and field[0] == field[-1] and field[0] in "\"'":
        return field[1:-1]
    return field
