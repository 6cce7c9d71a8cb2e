"""One connection of the HTTP server: reads requests, asks the WSGI app, answers.

As small as can be, since all of it is done for each message of an app that sends its messages one
by one: an answer is joined and sent as a whole, a deadline is a number that the server looks at.

Source:
    RFC 9110 and RFC 9112; PEP 3333.
"""

import contextlib
import socket
from http import HTTPStatus
from time import monotonic
from typing import Any

import gevent

from api.server.address import network_of
from api.server.answer import Headers, refusal, written
from api.server.bodies import RECV_BYTES, BodyReader
from api.server.head import (
    DECLINED,
    END,
    HEAD_BYTES_MAX,
    BadRequestError,
    Environ,
    Head,
    Probe,
    too_long,
)
from api.server.request import Request
from api.server.request_id import HEADER, CurrentRequest, begin_requests, id_of
from api.server.turns import Turns
from api.server.wsgi import ask

IDLE_S = 30.0
"""How long a connection may lie idle between requests; clients send every second or so."""

HEADERS_S = 5.0
"""How long the head of a request may take to come."""

SEND_S = 10.0
"""How long an answer may take to be sent: a client that does not read is sent away."""

UNREAD_S = 2.0
"""How long a refused body is still taken in: a client that cannot send on reads no answer."""

TURNED_AWAY_S = 0.1
"""The same for a connection that is one too many: many of them must not take all places."""

NO_DEADLINE = float("inf")

_LENGTH_END = len(END)


class DeadlineError(Exception):
    """Thrown into a connection whose deadline is over."""


class Connection:
    """One connection and its requests. What gevent's server calls a handler class.

    Args:
        connection: A socket of gevent.
        address: Of the other side.
        server: With ``application``, ``get_environ``, ``heads``, ``idle``, ``deadlines``,
            ``bodies``, ``addresses``, ``count_refused``, ``greedy``, ``loop``, ``date``,
            ``new_id``, ``closed`` and ``log_fault``.
    """

    def __init__(self, connection: socket.socket, address: Any, server: Any) -> None:  # noqa: ANN401
        self._socket = connection
        self._server = server
        self._address = address
        self._host = network_of(address[0]) if isinstance(address, tuple) else ""
        self._environ: Environ | None = None
        self._data = b""
        self._turns = Turns(server)
        self._body = BodyReader(connection, server, self._turns)
        self._is_in_head = False
        self._this: gevent.Greenlet | None = None
        self._is_declined = False
        self._current = CurrentRequest()

    def handle(self) -> None:
        """Answer requests until the connection ends."""
        self._this = gevent.getcurrent()
        self._current = begin_requests()
        addresses = self._server.addresses
        if not addresses.has_room(self._host):
            self._turn_away()
            return
        addresses.enter(self._host)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._answer_next():
                pass
        except (OSError, gevent.GreenletExit):
            pass  # The other side is gone, or this server ends.
        except BadRequestError as error:
            self._refuse(error.status, str(error))
        except DeadlineError:
            if self._is_in_head:
                self._refuse(HTTPStatus.BAD_REQUEST, "The headers came too slowly.")
        finally:
            addresses.leave(self._host)
            self._close()

    def _close(self) -> None:
        self._server.deadlines.pop(self._this, None)
        self._server.idle.pop(self._this, None)
        self._socket.close()

    def _turn_away(self) -> None:
        """Say that the address has too many connections, and take no time over it."""
        self._server.count_refused()
        try:
            self._refuse(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Your address has as many connections as it may have; close some, or send more "
                "requests over each.",
                TURNED_AWAY_S,
            )
        finally:
            self._close()

    def _answer_known(self) -> bool:
        """Answer requests by their shortcuts for as long as each comes alone and is known.

        Returns:
            Whether there is something else to be answered; its data is there.
        """
        server, this, heads = self._server, self._this, self._server.heads
        while not server.closed:
            server.idle[this] = self._host
            server.deadlines[this] = monotonic() + IDLE_S
            data = self._recv()
            server.idle.pop(this, None)
            self._data = data
            end = data.find(END) + _LENGTH_END
            head = heads.known.get(data[:end])
            if head is None or head.shortcut is None or len(data) != end + head.length:
                return bool(data)
            server.deadlines[this] = NO_DEADLINE
            self._current.id = server.new_id()
            try:
                answer = head.shortcut(data[end:])
            except Exception as error:  # noqa: BLE001  (the server logs it)
                self._data = b""
                self._fail(error)
                return False
            if answer is None:
                self._is_declined = True
                return True
            self._data = b""
            status, headers, body = answer
            closes = bool(head.closes or server.closed)
            self._send(status, headers, body, "POST", closes, head)
            if closes:
                return False
        return False

    def _answer_next(self) -> bool:
        """Answer one request; return whether there may be another."""
        if not self._data and not self._answer_known():
            return False
        self._current.id = self._server.new_id()
        end = self._await_head()
        if not end:
            return False
        data = self._data
        head = self._server.heads.read(data[:end])
        self._current.id = id_of(head.environ.get(HEADER), self._server.new_id)
        request = self._request(head, data[end:])
        if self._is_declined:
            request.environ[DECLINED] = True
            self._is_declined = False
        try:
            return self._answer_fully(request, head)
        finally:
            # The environ and its input name each other, and a garbage collector may seldom come.
            del request.environ["wsgi.input"]

    def _answer_fully(self, request: Request, head: Head) -> bool:
        """Ask the app; return whether there may be another request."""
        if request.is_complete:
            closes = self._answer(request, head)
        else:
            self._body.check_room(head.length)
            try:
                closes = self._answer(request, head)
                if not self._body.is_drained(request, UNREAD_S):
                    self._linger()
                    return False
            finally:
                self._body.give_back()
        self._data = request.rest
        return not closes

    def _await_head(self) -> int:
        """Read until a head is there; return where it ends in the data, 0 at the end of all."""
        self._turns.take()
        # Empty lines in front of a request are read over: RFC 9112, section 2.2.
        data = self._data.lstrip(b"\r\n") if self._data[:1] in (b"\r", b"\n") else self._data
        end = data.find(END)
        if end < 0:
            self._server.deadlines[self._this] = monotonic() + HEADERS_S
            data = self._rest_of_head(data)
            end = data.find(END)
        self._server.deadlines[self._this] = NO_DEADLINE
        self._data = data
        if end > HEAD_BYTES_MAX:
            raise too_long()
        return end + _LENGTH_END if end >= 0 else 0

    def _rest_of_head(self, data: bytes) -> bytes:
        """Return what came, once a head is whole in it; or as it is at the end of all."""
        self._is_in_head = bool(data)
        probe = Probe()
        more, end = data, -1
        while end < 0:
            if more:
                probe.feed(more)
            if len(data) > HEAD_BYTES_MAX + _LENGTH_END - 1:
                raise too_long()
            more = self._recv()
            if not more:
                break
            if not data:
                more = more.lstrip(b"\r\n")
            searched = max(0, len(data) - _LENGTH_END)
            data += more
            end = data.find(END, searched)
        self._is_in_head = False
        return data

    def _recv(self) -> bytes:
        self._turns.take()
        data: bytes = self._socket.recv(RECV_BYTES)
        return data

    def _request(self, head: Head, data: bytes) -> Request:
        base = self._environ
        if base is None:
            base = {"SCRIPT_NAME": "", "wsgi.url_scheme": "http"}
            base |= self._server.get_environ()
            if isinstance(self._address, tuple):
                base |= {"REMOTE_ADDR": self._address[0], "REMOTE_PORT": str(self._address[1])}
            self._environ = base
        return Request({**base, **head.environ}, head, data, self._body.more)

    def _answer(self, request: Request, head: Head) -> bool:
        """Ask the app, and send what it says; return whether the connection ends with it."""
        environ = request.environ
        method = environ["REQUEST_METHOD"]
        try:
            status, headers, body = ask(self._server.application, environ)
        except Exception as error:  # noqa: BLE001  (the server logs it)
            self._fail(error)
            return True
        is_asked = "HTTP_EXPECT" in environ and not request.is_complete
        closes = bool(request.closes or is_asked or self._server.closed)
        self._send(status, headers, body, method, closes, head)
        return closes

    def _send(
        self,
        status: str,
        headers: Headers,
        body: bytes,
        method: str,
        closes: bool,
        head: Head | None = None,
    ) -> None:
        # An older client expects the connection to end unless the answer says otherwise.
        goes_on = head is not None and head.is_old
        ends = "close" if closes else "keep-alive" if goes_on else ""
        date, request_id = self._server.date, self._current.id
        answer = written(status, headers, body, method, ends, date, request_id)
        self._server.deadlines[self._this] = monotonic() + SEND_S
        # gevent's sendall asks the socket this and that first; nearly always one send does it.
        sent = self._socket.send(answer)
        if sent < len(answer):
            self._socket.sendall(answer[sent:])
        self._server.deadlines[self._this] = NO_DEADLINE

    def _fail(self, error: Exception) -> None:
        self._server.log_fault(error)
        self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of ours; the log has it.")

    def _refuse(self, status: HTTPStatus, detail: str, unread_s: float = UNREAD_S) -> None:
        """Say why, and end the connection once the other side has had time to read it."""
        self._current.id = self._current.id or self._server.new_id()
        headers, body = refusal(status, detail, self._current.id)
        with contextlib.suppress(OSError, DeadlineError), gevent.Timeout(unread_s, False):
            self._send(f"{status.value} {status.phrase}", headers, body, "", closes=True)
        self._linger(unread_s)

    def _linger(self, unread_s: float = UNREAD_S) -> None:
        """Take in what comes, so that the other side has time to read: RFC 9112, section 9.6."""
        with contextlib.suppress(OSError, DeadlineError), gevent.Timeout(unread_s, False):
            self._socket.shutdown(socket.SHUT_WR)
            while self._recv():
                pass
