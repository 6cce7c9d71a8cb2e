"""What an app brings along and fails: its client, and the handler of its log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from metrics.testing import Recorder


class Broken(Recorder):
    """A client that cannot record."""

    def record(self, key: str, value: float) -> None:
        """Fail as nothing should."""
        raise RuntimeError("broken")


@contextmanager
def failing_log() -> Iterator[list[logging.LogRecord]]:
    """Give what is logged of the client to a handler that raises; yield what it got."""
    records: list[logging.LogRecord] = []

    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)
            raise OSError("disk full")

    handler = Full()
    logging.getLogger("metrics.client").addHandler(handler)
    try:
        yield records
    finally:
        logging.getLogger("metrics.client").removeHandler(handler)
