"""What ``GET /`` says to curl: a few lines that work as they are."""

import re
import shlex
from collections.abc import Sequence

from metrics.hours import Hour

_AUTHORITY = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?", re.ASCII)
_SEPARATORS = re.compile(r"[._:-]")
_WHAT_IT_IS = "metrics: response times by key and hour."
_WITH_HEADER = 'curl -H "Authorization: Bearer $TOKEN"'


def lines_to_paste(
    scheme: str,
    authority: str,
    keys: Sequence[tuple[str, Hour]],
    *,
    asks_for_token: bool,
    has_token: bool,
) -> str:
    """Return the text.

    Args:
        scheme: By which the client came, ``http`` or ``https``.
        authority: The host and port that it asked.
        keys: Keys that it may read, each with its newest hour.
        asks_for_token: Whether the service does.
        has_token: Whether the client sent one that is good.
    """
    # A Host header may say anything; what is pasted into a shell may not.
    at = authority if _AUTHORITY.fullmatch(authority) else "localhost:8100"
    at = f"https://{at}" if scheme == "https" else at
    curl = _WITH_HEADER if asks_for_token else "curl"
    again = f"{curl} {shlex.quote(f'{at}/')}"
    if asks_for_token and not has_token:
        return _text("This service asks for a read token.", [(again, "lines for what it may read")])
    if not keys:
        send = "curl localhost:8000/messages -d 'checkout.web-1,98.1'"
        lines = [(send, "send one, to the collector"), (again, "and ask again")]
        return _text("There are no messages yet.", lines)
    key, hour = max(keys, key=lambda each: each[1])
    day, hour_of_day = str(hour).split("T")
    prefix = _prefix_of(key)
    asked = [
        (f"{key}/summary/{day}/{hour_of_day}", "an hour, in UTC"),
        (f"{key}/median/{day}", "its day"),
        (f"{prefix}*/p99/{day}/{hour_of_day}", f"all keys that begin with {prefix}"),
        (f"keys?prefix={prefix}&limit=10", "which keys there are"),
        ("audit", "whether all that came in was counted"),
    ]
    return _text(
        "A browser shows the dashboard at this address.",
        [(f"{curl} {shlex.quote(f'{at}/{path}')}", what) for path, what in asked],
    )


def _prefix_of(key: str) -> str:
    """Return the beginning of a key up to its first separator; the whole key if it has none."""
    found = _SEPARATORS.search(key)
    return key[: found.end()] if found else key


def _text(sentence: str, lines: Sequence[tuple[str, str]]) -> str:
    width = max(len(line) for line, _ in lines)
    pasted = "\n".join(f"  {line:{width}}   # {what}" for line, what in lines)
    return f"{_WHAT_IT_IS} {sentence}\n\n{pasted}\n"
