"""The lines of a process's log: for people, or as JSON for what collects them."""

import logging
import re
from collections.abc import Callable
from typing import Literal

LogFormat = Literal["console", "json"]

# What would begin another line, or move a terminal's cursor.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def begin_log(form: LogFormat, *, request_id: Callable[[], str] = lambda: "") -> None:
    """Let all lines of this process go to its standard error, in this form.

    Args:
        form: ``console``, a line of text each; or ``json``, an object each.
        request_id: Returns the id of the request that is being answered; empty if there is none.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_json_formatter() if form == "json" else _Console())
    handler.addFilter(_WithRequestId(request_id))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _WithRequestId(logging.Filter):
    """Notes in each line which request it is about."""

    def __init__(self, request_id: Callable[[], str]) -> None:
        super().__init__()
        self._request_id = request_id

    def filter(self, record: logging.LogRecord) -> bool:
        """Note it, and let the line through."""
        if request_id := self._request_id():
            record.request_id = request_id
        return True


class _Console(logging.Formatter):
    """Writes level, logger and text, which stay on one line whatever a client sent."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        """Return the line without a traceback."""
        line = _CONTROL.sub(lambda found: repr(found[0])[1:-1], super().formatMessage(record))
        request_id = getattr(record, "request_id", "")
        return f"{line} [request {request_id}]" if request_id else line


def _json_formatter() -> logging.Formatter:
    # Here, since what needs nothing but Python logs for people.
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp=True,
    )
