"""Errors as HTTP answers: all of them ``application/problem+json`` (RFC 9457)."""

import logging
from collections.abc import Sequence
from typing import Any

import falcon

from api.server.request_id import named_request
from metrics.errors import (
    IdempotencyConflictError,
    InvalidQueryError,
    KeyHourUnsoundError,
    MetricsError,
    NoDataError,
    OverloadedError,
    SettingsError,
    StorageUnavailableError,
    StorageUnsoundError,
)
from metrics.problem import PROBLEM_JSON, problem_json
from metrics.throttled_log import ThrottledLog

RETRY_AFTER_S = 1

_PATH_SHOWN = 80

_NOT_KEPT = {"Cache-Control": "no-cache, no-store"}

_log = logging.getLogger(__name__)


class Problem(falcon.HTTPError):
    """An error that a request is answered with, and members of its own beside those of RFC 9457."""

    def __init__(
        self,
        status: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(status, description=detail, headers=headers)
        self.members = members


class Problems:
    """Turns errors into answers; the log has what answers leave out, each kind once a minute.

    Args:
        routes: What can be asked of the service, for those who asked for something else.
    """

    def __init__(self, routes: Sequence[str]) -> None:
        self._routes = ", ".join(routes)
        self._log = ThrottledLog(_log)

    def of(self, error: MetricsError) -> Problem | None:
        """Return the answer for an error of ours; None if none should come so far."""
        match error:
            case InvalidQueryError():
                return Problem(falcon.HTTP_400, str(error))
            case NoDataError():
                members = {"dropped": error.dropped} if error.dropped else {}
                return Problem(falcon.HTTP_404, str(error), headers=_NOT_KEPT, **members)
            case IdempotencyConflictError():
                return Problem(falcon.HTTP_422, str(error))
            case KeyHourUnsoundError():
                self._log.log(error.name, "%s", error)
                return _unsound_key_hour(error)
            case StorageUnsoundError() | SettingsError():
                self._log.log(str(error), "%s", error, level=logging.ERROR)
                return unavailable(str(error), stored="no")
            case StorageUnavailableError():
                return unavailable(error.public, stored=error.stored)
            case OverloadedError():
                return unavailable(str(error))
        return None

    def content(self, problem: falcon.HTTPError) -> bytes:
        """Return the body of an answer, and log what it leaves out of its cause."""
        cause = problem.__cause__
        if isinstance(cause, StorageUnavailableError):
            self._log.log(cause.public, "answering %d: %s", problem.status_code, cause)
        detail = problem.description or problem.title or ""
        members = problem.members if isinstance(problem, Problem) else {}
        return problem_json(problem.status_code, detail, **members, **named_request())

    def serialize(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
    ) -> None:
        """Make an error the body of an answer of Falcon's."""
        resp.content_type = PROBLEM_JSON
        resp.data = self.content(error)
        # Falcon's frame in it holds the error: together they would wait for a garbage collector,
        # and with them the request and all that its resource had in hand.
        error.__traceback__ = None

    def handle(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, params: object
    ) -> None:
        """Raise the answer for whatever a resource raised."""
        if isinstance(error, falcon.HTTPError | falcon.HTTPStatus):
            raise error
        problem = self.of(error) if isinstance(error, MetricsError) else None
        if problem is None:
            kind = f"{type(error).__name__} {req.method} {req.uri_template}"
            text, level = "%s %.64s failed", logging.ERROR
            self._log.log(kind, text, req.method, req.path, level=level, error=error)
            problem = Problem(
                falcon.HTTP_500,
                "A fault of ours; the log of this process has it.",
                stored="unknown",
            )
        raise problem from error

    def no_route(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object
    ) -> None:
        """Raise the answer for a path that is no route."""
        path = req.path[:_PATH_SHOWN]
        raise Problem(
            falcon.HTTP_404, f"There is no {path} here. There are {self._routes}."
        ) from error

    def no_method(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object
    ) -> None:
        """Raise the answer for a method that a route has not."""
        allowed = dict(error.headers or {}).get("Allow", "")
        path = req.path[:_PATH_SHOWN]
        raise Problem(
            falcon.HTTP_405,
            f"{path} takes {allowed}, not {req.method}. There are {self._routes}.",
            headers={"Allow": allowed},
        ) from error


def add_problems(app: falcon.App[Any, Any], routes: Sequence[str]) -> Problems:
    """Let an app answer every error as a problem, and return what does it.

    Args:
        app: Of one service.
        routes: What can be asked of it.
    """
    problems = Problems((*routes, "GET /healthz", "GET /readyz", "GET /metrics"))
    app.set_error_serializer(problems.serialize)
    app.add_error_handler(Exception, problems.handle)
    app.add_error_handler(falcon.HTTPRouteNotFound, problems.no_route)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, problems.no_method)
    return problems


def _unsound_key_hour(error: KeyHourUnsoundError) -> Problem:
    return Problem(
        falcon.HTTP_500,
        f"the numbers of {error.key} in {error.hour} UTC are not sound: {error.fault}",
        headers=_NOT_KEPT,
        key=error.key,
        hour=error.hour,
    )


def unavailable(detail: str, **members: object) -> Problem:
    """Return the answer for what cannot be done now, and may be tried again: backpressure."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem(falcon.HTTP_503, detail, headers=headers, **members)
