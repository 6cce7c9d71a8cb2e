"""Errors as HTTP answers: all of them ``application/problem+json`` (RFC 9457)."""

import logging
from typing import Any

import falcon

from api.throttled_log import ThrottledLog
from metrics.errors import (
    IdempotencyConflictError,
    InvalidQueryError,
    KeyHourUnsoundError,
    NoDataError,
    OverloadedError,
    SettingsError,
    StorageUnavailableError,
    StorageUnsoundError,
)
from metrics.problem import PROBLEM_JSON, problem_json

RETRY_AFTER_S = 1

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


def add_problems(app: falcon.App[Any, Any]) -> None:
    """Let an app answer every error as a problem."""
    log = ThrottledLog(_log)
    app.set_error_serializer(_Serializer(log).serialize)
    app.add_error_handler(Exception, _Faults(log).handle)
    app.add_error_handler(InvalidQueryError, _raise_bad_request)
    app.add_error_handler(NoDataError, _raise_not_found)
    app.add_error_handler(IdempotencyConflictError, _raise_conflict)
    app.add_error_handler((StorageUnsoundError, SettingsError), _raise_unsound)
    app.add_error_handler(KeyHourUnsoundError, _KeyHoursUnsound(log).handle)
    app.add_error_handler(StorageUnavailableError, _raise_unavailable)
    app.add_error_handler(OverloadedError, _raise_overloaded)


class _Serializer:
    """Writes errors as problems, and logs what is not told of their causes."""

    def __init__(self, log: ThrottledLog) -> None:
        self._log = log

    def serialize(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
    ) -> None:
        """Make an error the body of an answer."""
        detail = error.description or error.title or ""
        members = error.members if isinstance(error, Problem) else {}
        resp.content_type = PROBLEM_JSON
        resp.data = problem_json(error.status_code, detail, **members)
        cause = error.__cause__
        if isinstance(cause, StorageUnavailableError):
            self._log.log(cause.public, "answering %d: %s", error.status_code, cause)


class _KeyHoursUnsound:
    """Answers where a key-hour is not sound; the log names its hash, once a minute."""

    def __init__(self, log: ThrottledLog) -> None:
        self._log = log

    def handle(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: KeyHourUnsoundError,
        params: object,
    ) -> None:
        """Raise the problem that says which key-hour it is."""
        self._log.log(error.name, "%s", error)
        raise Problem(
            falcon.HTTP_500,
            f"the numbers of {error.key} in {error.hour} UTC are not sound: {error.fault}",
            headers=_NOT_KEPT,
            key=error.key,
            hour=error.hour,
        ) from error


class _Faults:
    """Answers what nobody foresaw; the log has each kind of it once a minute."""

    def __init__(self, log: ThrottledLog) -> None:
        self._log = log

    def handle(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, params: object
    ) -> None:
        """Raise the problem that says so."""
        if isinstance(error, falcon.HTTPError | falcon.HTTPStatus):
            raise error
        kind = f"{type(error).__name__} {req.method} {req.uri_template}"
        self._log.log(kind, "%s %.64s failed", req.method, req.path, error=error)
        raise Problem(
            falcon.HTTP_500, "A fault of ours; the log of this process has it.", stored="unknown"
        ) from error


def _raise_bad_request(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    raise Problem(falcon.HTTP_400, str(error)) from error


def _raise_not_found(
    req: falcon.Request, resp: falcon.Response, error: NoDataError, params: object
) -> None:
    members = {"dropped": error.dropped} if error.dropped else {}
    raise Problem(falcon.HTTP_404, str(error), headers=_NOT_KEPT, **members) from error


def _raise_conflict(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    raise Problem(falcon.HTTP_422, str(error)) from error


def _raise_unavailable(
    req: falcon.Request, resp: falcon.Response, error: StorageUnavailableError, params: object
) -> None:
    raise unavailable(error.public, stored=error.stored) from error


def _raise_overloaded(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    raise unavailable(str(error)) from error


def _raise_unsound(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    _log.error("%s", error)
    raise unavailable(str(error), stored="no") from error


def unavailable(detail: str, **members: object) -> Problem:
    """Return the answer for what cannot be done now, and may be tried again."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem(falcon.HTTP_503, detail, headers=headers, **members)
