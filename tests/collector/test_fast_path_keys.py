"""The fast path takes tokens and idempotency keys as the regular path does."""

import pytest

from api.collector import app as collector
from metrics.connection import Connection
from metrics.keyspace import partition_of
from metrics.settings import Settings
from tests.collector.test_fast_path import NOW, OTHER, PLAIN, app_of, ask, falcon_of
from tests.support.streams import audit_of

TOKENS = {"METRICS_WRITE_TOKENS": "everything,a*=some"}
"""The second for keys that begin with ``a``."""


def bearer(token: str) -> dict[str, str]:
    """Return the header of a request with a token, as an environ has it."""
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("token", "body", "status"),
    [
        ("everything", PLAIN["a message"], 202),
        ("everything", PLAIN["rows"], 202),
        ("some", PLAIN["a message"], 202),
        ("some", b'{"key":"b","value":1}', 403),
        ("some", PLAIN["rows"], 202),
        ("wrong", PLAIN["a message"], 401),
    ],
)
def test_a_token_is_asked_for_as_on_the_regular_path(
    connection: Connection, token: str, body: bytes, status: int
) -> None:
    """With tokens set, the fast path gives the status and the answer that Falcon gives."""
    app = app_of(connection, **TOKENS)

    answer = ask(app, body, **bearer(token))

    assert answer.status.startswith(f"{status} ")
    assert answer == ask(falcon_of(app), body, **bearer(token))


def test_with_a_good_token_falcon_is_not_asked(connection: Connection) -> None:
    """A plain request with a good token is answered without Falcon."""
    app = app_of(connection, **TOKENS)
    app._app = None

    assert ask(app, PLAIN["a message"], **bearer("some")).status == "202 Accepted"
    take = app.shortcut(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/messages",
            "CONTENT_TYPE": "application/json",
            **bearer("everything"),
        }
    )
    assert take is not None
    assert take(PLAIN["rows"])[0] == "202 Accepted"


@pytest.mark.parametrize("token", [None, "some"])
def test_a_body_under_a_key_counts_once(connection: Connection, token: str | None) -> None:
    """A body sent twice under an idempotency key counts once, and another body gets a 422."""
    app = app_of(connection, **(TOKENS if token else {}))
    regular = falcon_of(app)
    app._app = None
    more = {"HTTP_IDEMPOTENCY_KEY": "1", **(bearer(token) if token else {})}

    first, again = (ask(app, PLAIN["a message"], **more) for _ in range(2))
    other = ask(app, b'{"key":"a","value":2}', **more)

    assert first.status == "202 Accepted"
    assert first == again == ask(regular, PLAIN["a message"], **more)
    assert other.status.startswith("422 ")
    assert other == ask(regular, b'{"key":"a","value":2}', **more)
    assert audit_of(connection, partition_of("a", 16))["accepted"] == 1


@pytest.mark.parametrize("body", [*PLAIN.values(), *OTHER.values()], ids=[*PLAIN, *OTHER])
def test_under_a_key_answers_are_those_of_the_regular_path(
    connection: Connection, body: bytes
) -> None:
    """Under an idempotency key a good or bad body gets the answer that Falcon gives."""
    app = app_of(connection)
    more = {"HTTP_IDEMPOTENCY_KEY": "key"}

    assert ask(app, body, **more) == ask(falcon_of(app), body, **more)


def test_a_key_that_can_be_none_is_400(connection: Connection) -> None:
    """An idempotency key of 129 characters gives the same 400 as on Falcon's path."""
    app = app_of(connection)
    more = {"HTTP_IDEMPOTENCY_KEY": "x" * 129}

    answer = ask(app, PLAIN["a message"], **more)

    assert answer.status.startswith("400 ")
    assert answer == ask(falcon_of(app), PLAIN["a message"], **more)


DAYS_S = 86_400


@pytest.mark.parametrize("charset", ["", "; charset=utf-8"], ids=["fast", "regular"])
@pytest.mark.parametrize(
    ("stamp", "after_s"),
    [(NOW + 308, 12), (NOW - 30 * DAYS_S + 4, 6)],
    ids=["in the future", "leaving the retention"],
)
def test_a_repetition_is_answered_as_the_first_time_whatever_the_clock_says(
    connection: Connection, charset: str, stamp: float, after_s: int
) -> None:
    """A body under a key has the same good messages again, though its times are others now."""
    now = [NOW]
    settings = Settings.from_env({"REDIS_URL": "redis://unused"})
    app = collector.create_app(connection, settings, now=lambda: now[0])
    body = b'[{"key":"a","value":1},{"key":"a","values":[2],"timestamps":[%.0f]}]' % stamp
    if after_s == 6:
        body = b'[{"key":"a","values":[2],"timestamps":[%.0f]}]' % stamp
    more = {"HTTP_IDEMPOTENCY_KEY": "1", "CONTENT_TYPE": f"application/json{charset}"}

    first = ask(app, body, **more)
    now[0] += after_s
    again = ask(app, body, **more)

    assert first.status == "202 Accepted"
    assert again == first
    assert audit_of(connection, partition_of("a", 16))["accepted"] == 1


def test_a_body_without_a_good_message_leaves_its_key_unused(connection: Connection) -> None:
    """A key whose first body was 400 may be used for another body."""
    app = app_of(connection)
    more = {"HTTP_IDEMPOTENCY_KEY": "1"}

    assert ask(app, b'{"key":"a","value":-1}', **more).status.startswith("400 ")
    assert ask(app, b'{"key":"a","value":1}', **more).status == "202 Accepted"
