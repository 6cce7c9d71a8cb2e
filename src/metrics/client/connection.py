"""One kept-alive HTTP connection to a collector, with a deadline for the whole of an answer.

``http.client`` speaks the protocol (RFC 9112). Its timeout is for each read, and a peer that sends
a byte now and then would hold it for ever; so it gets a socket that knows its deadline.
"""

import socket
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from metrics.client.collectors import Address
from metrics.errors import CollectorAwayError

BODY_BYTES_MAX = 65_536
_READ_BYTES = 16_384
_Kept = tuple[Any, socket.socket]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a collector said.

    Attributes:
        status: Of HTTP.
        body: At most ``BODY_BYTES_MAX`` of it.
        retry_after_s: For how long it asks to be left alone; None if it does not.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None


def http_client() -> Any:  # noqa: ANN401  a module has no better type
    """Return ``http.client``, imported late: it imports ssl, which gevent wants to patch first."""
    import http.client

    return http.client


class CollectorConnection:
    """A connection to one collector, opened when it is needed. For one thread.

    Args:
        address: Of the collector.
        connect_s: How long a connection may take.
        answer_s: How long a request and its answer may take.
    """

    def __init__(self, address: Address, *, connect_s: float, answer_s: float) -> None:
        self._address = address
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._kept: _Kept | None = None

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Send a body and return the answer; the request must be safe to repeat.

        A kept connection that the collector has closed meanwhile is replaced by a new one: that is
        no failure of it.

        Raises:
            CollectorAwayError: If no whole answer comes in time.
        """
        was_kept = self._kept is not None
        kept = self._kept or self._open()
        try:
            return self._exchange(kept, body, headers)
        except (OSError, http_client().HTTPException) as error:
            self.close()
            is_stale = isinstance(error, OSError) and not isinstance(error, TimeoutError)
            if not (was_kept and is_stale):
                raise CollectorAwayError(_text_of(error), is_unsent=False) from error
        try:
            return self.post(body, headers)
        except CollectorAwayError as error:
            raise CollectorAwayError(str(error), is_unsent=False) from error

    def close(self) -> None:
        """Close it without a word to the other side: so a child may close what it inherited."""
        if self._kept is not None:
            _, raw = self._kept
            self._kept = None
            raw.close()

    def _open(self) -> _Kept:
        to = self._address
        http = http_client()
        make = http.HTTPSConnection if to.is_tls else http.HTTPConnection
        # Without a port it would look for one in the host, and find a piece of an IPv6 address.
        connection = make(to.host, to.port or make.default_port, timeout=self._connect_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise CollectorAwayError(_text_of(error), is_unsent=True) from error
        self._kept = connection, connection.sock
        return self._kept

    def _exchange(self, kept: _Kept, body: bytes, headers: dict[str, str]) -> Answer:
        connection, raw = kept
        connection.sock = _DeadlineSocket(raw, time.monotonic() + self._answer_s)
        connection.request("POST", self._address.path, body, headers)
        response = connection.getresponse()
        content = response.read(BODY_BYTES_MAX)
        if response.will_close or not response.isclosed():
            self.close()
        return Answer(response.status, content, _retry_after_s(response.getheader("Retry-After")))


class _DeadlineSocket:
    """A socket whose sends and reads share one deadline, and the file that reads from it.

    Without the locks of ``io``: in a forked child they may belong to a thread that is not there.
    """

    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._deadline = deadline
        self._unread = b""

    def sendall(self, data: bytes) -> None:
        self._raw.settimeout(self._left_s())
        self._raw.sendall(data)

    def makefile(self, _mode: str) -> "_DeadlineSocket":
        return self

    def readline(self, limit: int) -> bytes:
        while b"\n" not in self._unread and len(self._unread) < limit and self._has_read():
            pass
        return self._take(min(limit, self._unread.find(b"\n") + 1 or limit))

    def read(self, size: int) -> bytes:
        while len(self._unread) < size and self._has_read():
            pass
        return self._take(size)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The socket stays open: it is the connection's."""

    def _has_read(self) -> bool:
        self._raw.settimeout(self._left_s())
        more = self._raw.recv(_READ_BYTES)
        self._unread += more
        return bool(more)

    def _take(self, size: int) -> bytes:
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def _left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no answer in time")
        return left_s


def _text_of(error: Exception) -> str:
    return str(error) or type(error).__name__


def _retry_after_s(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, if it has any (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None
