"""``POST /logplex``: a log drain of Heroku, or of a platform whose drains are like it.

Logplex sends a frame twice at most, the second time at once, and what was answered 4xx it never
sends again. So a frame in which nothing is a message is taken as well, and while Redis is away the
answer waits. Where new keys come too fast the known ones of a frame are taken. What makes a
repetition recognisable is in its headers.

Source:
    heroku/logplex, doc/README.http_drains.md, src/logplex_http_drain.erl.
"""

from base64 import b64decode
from collections.abc import Callable
from functools import partial
from time import monotonic

import falcon
import gevent

from api.access import Access, Grant
from api.collector import logplex_frame
from api.collector.key_limit import TooManyAtOnceError
from api.collector.logplex_frame import Fields, Frame
from api.collector.long_bodies import Place
from api.collector.messages import Messages
from api.collector.post import Post
from api.collector.request_body import idempotency_key_of
from api.problems import Problem, unavailable
from metrics.errors import MetricsError, OverloadedError, StorageUnavailableError
from metrics.message import is_key

WAIT_S = 4.0
"""How long the answer waits for Redis; Logplex waits for it 5 s."""

KNOWN_WAIT_S = 0.5
"""And how long once it has waited for new keys: half of what is left until Logplex gives up."""

TRY_AGAIN_S = 0.1

WAITING_BYTES_MAX = 64 * 1024 * 1024
"""How much may wait for Redis; what comes on top is answered at once."""

_OCTETS, _TEXT = "application/logplex-1", "text/plain"


class Logplex:
    """``/logplex``.

    Args:
        messages: Takes what was read.
        access: Who may write which keys.
        sleep: Lets other requests go on for so many seconds.
    """

    def __init__(
        self,
        messages: Messages,
        *,
        access: Access,
        sleep: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._messages = messages
        self._access = access
        self._sleep = sleep
        self._waiting_bytes = 0

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Append the messages of a frame; answer 202 once Redis has them, or if there are none.

        Raises:
            falcon.HTTPError: If the request is at fault.
            MetricsError: If Redis is away for longer than a drain waits.
        """
        grant = self._grant(req)
        fields = _fields_of(req)
        media_type = (req.content_type or "").partition(";")[0].strip().lower()
        if media_type not in {_OCTETS, _TEXT}:
            raise Problem(falcon.HTTP_415, f"Content-Type must be {_OCTETS}, or {_TEXT}.")
        with self._messages.long_bodies.place() as place:
            body = self._messages.body_of(req, place)
            if media_type == _OCTETS:
                frame = Frame.of_octets(body, self._messages.pause_if_due)
            else:
                frame = Frame.of_text(body)
            own = frame.own(self._messages.pause_if_due)
            key = idempotency_key_of(_name_of(req), grant.token_id, own)
            read = partial(logplex_frame.read, frame, fields)
            self._take_what_is_known(Post(read, grant, key, place), resp, len(body), place)

    def _take_what_is_known(
        self, post: Post, resp: falcon.Response, length: int, place: Place
    ) -> None:
        """Have a frame appended, without its new keys if too many come at once.

        Raises:
            Problem: If there is nothing else in it; Logplex sends it again.
            MetricsError: If Redis is away for long, or if too much waits.
        """
        try:
            self._take(post, resp, length, place, WAIT_S)
        except Problem as error:
            if not isinstance(error.__cause__, TooManyAtOnceError):
                raise
            too_many = error.__cause__
        else:
            return
        try:
            self._take(post.without(too_many.refusal), resp, length, place, KNOWN_WAIT_S)
        except Problem as error:
            if error.status != falcon.HTTP_429:
                raise
            raise unavailable(str(too_many), stored="no") from error

    def _take(
        self, post: Post, resp: falcon.Response, length: int, place: Place, wait_s: float
    ) -> None:
        """Have a frame appended, and try again for a while if Redis is away.

        Raises:
            MetricsError: If it is away for longer, or if too much waits.
        """
        until = monotonic() + wait_s
        self._waiting_bytes += length
        try:
            while True:
                try:
                    place.take_if_long(length)
                    self._messages.take(post, resp, until=until, needs_messages=False)
                except (MetricsError, Problem) as error:
                    is_late = monotonic() + TRY_AGAIN_S >= until
                    if is_late or self._waiting_bytes > WAITING_BYTES_MAX:
                        raise
                    if not _may_try_again(error, post):
                        raise
                    place.leave()
                    self._sleep(TRY_AGAIN_S)
                else:
                    return
        finally:
            self._waiting_bytes -= length

    def _grant(self, req: falcon.Request) -> Grant:
        """Return what a request may do: a drain's URL has room for a password, and nothing else.

        Raises:
            Problem: If its token is missing or unknown.
        """
        scheme, _, credentials = (req.get_header("Authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return self._access.grant(req)
        try:
            _, _, password = b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:  # no base64, or no text in it
            password = ""
        found = self._access.find(f"Bearer {password}")
        if found is None:
            raise Problem(
                falcon.HTTP_401,
                "The password in the drain's URL must be a token that is good here: "
                "https://x:<token>@...",
                headers={"WWW-Authenticate": "Basic"},
            )
        return found


def _fields_of(req: falcon.Request) -> Fields:
    """Return which fields of a line a request names.

    Raises:
        Problem: If it names none.
    """
    app, key, duration = (req.get_param(name, default="") for name in ("app", "key", "ms"))
    fields = Fields(app, key or "dyno", duration or "service", only_router=not (key or duration))
    if not (app or key):
        raise Problem(
            falcon.HTTP_400,
            "Name the app, /logplex?app=checkout, or the field that has the key, ?key=dyno.",
        )
    if not is_key(fields.drain_key):
        raise Problem(
            falcon.HTTP_400,
            "app must be the beginning of a key: A-Z a-z 0-9 . _ : -, "
            "and its first character a letter or digit.",
        )
    return fields


def _name_of(req: falcon.Request) -> str | None:
    """Return what a frame is called each time it is sent; None if nothing says so."""
    drain, frame = req.get_header("Logplex-Drain-Token"), req.get_header("Logplex-Frame-Id")
    return f"{drain}/{frame}" if drain and frame else req.get_header("Idempotency-Key")


def _may_try_again(error: Exception, post: Post) -> bool:
    """Return whether a frame may go in later, and cannot count twice then."""
    if isinstance(error, Problem):
        return error.status == falcon.HTTP_503 and post.idempotency_key is not None
    if isinstance(error, StorageUnavailableError):
        return post.idempotency_key is not None or error.stored == "no"
    return isinstance(error, OverloadedError)
