"""Plain posts are read and appended together, and each is answered for its own messages."""

from collections.abc import Callable, Sequence

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access import EVERYTHING
from api.collector import fast_json, fast_posts
from api.collector.app import create_app
from api.collector.fast_path import FastPath
from api.time_slices import TimeSlices
from metrics.connection import Connection, command
from metrics.keyspace import PartitionNames, partition_of
from metrics.settings import Settings
from metrics.stream import SingleMessage
from ops.lab.simulation.collector import EveryKey
from tests.support.away import PartlyAway
from tests.support.streams import audit_of

NOW = 1795442400.0 + 1800  # 2026-11-23T14:30:00Z
HOUR = int(NOW // 3600)

SECRET = "s" * 40

HEAD = {
    "REQUEST_METHOD": "POST",
    "PATH_INFO": "/messages",
    "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": "30",
}

PIECES = [
    *(b'{"key":"a","value":1}', b'{"key":"b","value":2.5}', b'{"value":0,"key":"a"}'),
    *(b'{"key":"a"', b'"value":1}', b"{", b"}", b",", b'"', b"[", b"]", b"1", b" ", b"\\", b""),
    *(b'{"key":"a,', b'},{"key":"', b'{"key":"a}', b'{","value":1}', b'"a":1', b"null"),
    *(b'{"key":"a b","value":1}', b'{"key":"a","value":-1}', b'{"key":"a","value":1e999}'),
    b'{"key":"a","value":1},{"key":"b","value":2}',
]


def outcomes_of(take: Callable[[bytes], object], bodies: Sequence[bytes]) -> list[object]:
    """Return the outcomes of requests that come in the same turn of the event loop."""
    requests = [gevent.spawn(take, body) for body in bodies]
    gevent.joinall(requests, timeout=60)
    return [request.get(block=False) for request in requests]


def take_of(
    connection: object, head: dict[str, str] = HEAD, **environ: str
) -> Callable[[bytes], object]:
    """Return the function that takes the bodies of plain requests to a collector."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", **environ})
    app = create_app(connection, settings, now=lambda: NOW, keys=EveryKey())
    assert isinstance(app, FastPath)
    take = app.shortcut(head)
    assert take is not None
    return take


def accepted(outcome: object) -> bytes | None:
    """Return the body of an answer, None if there is no answer."""
    return outcome[2] if outcome else None


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(b"".join)))
def test_bodies_read_together_are_read_as_each_alone(bodies: list[bytes]) -> None:
    """Bodies that are read together give the same messages as each body alone."""
    alone = [fast_json.read_singles([body], HOUR, 16) for body in bodies]

    together = fast_json.read_singles(bodies, HOUR, 16)

    if together is not None:
        assert [[message] for message in together] == alone


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(b"".join)))
def test_a_body_that_is_something_else_concerns_no_other(bodies: list[bytes]) -> None:
    """Each body that is one message is read as one, whatever comes with it."""
    alone = [fast_json.read_singles([body], HOUR, 16) for body in bodies]

    assert fast_json.singles_among(bodies, HOUR, 16) == [found and found[0] for found in alone]


def test_one_bad_body_costs_those_that_come_with_it_little(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 bodies that come together those that are messages are not read one by one."""
    read: list[bytes] = []
    read_body = fast_json.read
    monkeypatch.setattr(
        fast_json, "read", lambda body, builder: read.append(body) or read_body(body, builder)
    )
    bodies = [b'{"key":"a","value":1}'] * 63 + [b'{"key":"a","value":-1}']

    found = outcomes_of(take_of(connection), bodies)

    assert found.count(None) == 1
    assert read == bodies[-1:]


def test_a_body_is_one_message() -> None:
    """A plain body is read as one message with its partition, key-hour and value."""
    (message,) = fast_json.read_singles([b'{"key":"a","value":1.50}'], HOUR, 16) or ()

    assert message == SingleMessage(partition_of("a", 16), "2026-11-23T14:a", 1.5)


def test_requests_that_come_together_share_an_entry(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain requests that come together share an entry; others are not taken."""
    monkeypatch.setattr(fast_posts, "SLICE_S", 60.0)
    bodies = [
        *[b'{"key":"a","value":1}'] * 10,
        b'[{"key":"a","value":1},{"key":"a","value":2}]',
        b'{"key":"a","values":[1,2,3]}',
        b'{"key":"a","value":-1}',
        b"a,1",
    ]

    found = [accepted(outcome) for outcome in outcomes_of(take_of(connection), bodies)]

    assert found[:10] == [b'{"accepted":1,"rejected":0}'] * 10
    assert found[10:] == [
        b'{"accepted":2,"rejected":0}',
        b'{"accepted":3,"rejected":0}',
        None,
        None,
    ]
    audit = audit_of(connection, partition_of("a", 16))
    assert (audit["accepted"], audit["appended"]) == (15, 1)


def test_a_body_under_an_idempotency_key_is_read_in_a_slice(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read where it came, so that many of them would fill a turn of the event loop."""
    started: list[bool] = []
    monkeypatch.setattr(
        TimeSlices, "start", lambda _, *, is_little=False: started.append(is_little)
    )
    settings = Settings.from_env({"REDIS_URL": "redis://unused"})
    app = create_app(connection, settings, now=lambda: NOW, keys=EveryKey())
    assert isinstance(app, FastPath)
    for length in (1, 2000):
        body = b'{"key":"a","values":[%b]}' % b",".join([b"1.5"] * length)
        assert app._posts.take_once(body, EVERYTHING, f"batch-{length}")

    assert started == [True, False]


def test_a_request_that_comes_while_others_are_read_is_not_forgotten(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is answered in the midst of a reading and sends again is read, after a pause as well."""
    monkeypatch.setattr(fast_posts, "SLICE_S", 0.0)
    take = take_of(connection)

    def send_twice(body: bytes) -> bool:
        return (take(body), take(body)) == (None, None)

    requests = [gevent.spawn(send_twice, b"a,1") for _ in range(4)]
    gevent.joinall(requests, timeout=10)

    assert [request.value for request in requests] == [True] * 4


def test_requests_with_tokens_share_an_entry_too(connection: Connection) -> None:
    """Requests of a token that come together share an entry; its other keys are not taken."""
    head = HEAD | {"HTTP_AUTHORIZATION": f"Bearer {SECRET}"}
    take = take_of(connection, head, METRICS_WRITE_TOKENS=f"a*={SECRET}")
    bodies = [*[b'{"key":"a","value":1}'] * 10, b'{"key":"b","value":1}']

    found = [accepted(outcome) for outcome in outcomes_of(take, bodies)]

    assert found == [*[b'{"accepted":1,"rejected":0}'] * 10, None]
    audit = audit_of(connection, partition_of("a", 16))
    assert (audit["accepted"], audit["appended"]) == (10, 1)


def test_bodies_of_a_token_are_read_together(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token costs no reading of its own: no body with one message is read alone."""
    monkeypatch.setattr(fast_json, "read", None)
    head = HEAD | {"HTTP_AUTHORIZATION": f"Bearer {SECRET}"}
    take = take_of(connection, head, METRICS_WRITE_TOKENS=f"a*={SECRET}")

    found = [accepted(each) for each in outcomes_of(take, [b'{"key":"a","value":1}'] * 10)]

    assert found == [b'{"accepted":1,"rejected":0}'] * 10


def test_a_bad_body_among_good_ones_keeps_none_of_them(connection: Connection) -> None:
    """A bad body among requests read together does not keep the good ones from being taken."""
    bodies = [b'{"key":"a","value":1}', b'{"key":"a b","value":1}', b'{"key":"b","value":1}']

    found = [accepted(outcome) for outcome in outcomes_of(take_of(connection), bodies)]

    assert [bool(answer) for answer in found] == [True, False, True]


def test_a_node_that_is_away_fails_its_own_messages_alone(connection: Connection) -> None:
    """A node that is away fails only its own messages among requests read together."""
    away = partition_of("a", 16)
    take = take_of(PartlyAway(connection, [away]))
    both = b'[{"key":"a","value":1},{"key":"b","value":2}]'

    lost, kept, partly = outcomes_of(
        take, [b'{"key":"a","value":1}', b'{"key":"b","value":1}', both]
    )

    assert lost[0].startswith("503 ")
    assert b'"stored":"no"' in lost[2]
    assert accepted(kept) == b'{"accepted":1,"rejected":0}'
    assert partly[0].startswith("503 ")
    assert b'"retryable":1' in partly[2]
    assert audit_of(connection, away)["accepted"] == 0
    assert audit_of(connection, partition_of("b", 16))["accepted"] == 2


def test_a_partition_at_its_limit_refuses_its_own_messages_alone(connection: Connection) -> None:
    """A partition at its backlog limit refuses only its own messages."""
    full = partition_of("a", 16)
    connection.ask(command("XADD", PartitionNames(full).stream, "*", "in", "the way"))
    take = take_of(connection, METRICS_BACKLOG_LIMIT="1")

    refused, kept = outcomes_of(take, [b'{"key":"a","value":1}', b'{"key":"b","value":1}'])

    assert refused[0].startswith("503 ")
    assert b'"stored":"no"' in refused[2]
    assert accepted(kept) == b'{"accepted":1,"rejected":0}'


DEEP = b'{"key":"a","values":' + b"[" * 2000


def test_a_body_that_is_nested_too_deep_fails_alone(connection: Connection) -> None:
    """Requests that are read together with a body nested 2,000 deep are answered as ever."""
    good = b'{"key":"a","value":1}'

    first, deep, last = outcomes_of(take_of(connection), [good, DEEP, good])

    assert accepted(first) == accepted(last) == b'{"accepted":1,"rejected":0}'
    assert deep is None


def test_no_text_that_spans_bodies_makes_up_for_a_body_of_two_messages() -> None:
    """Bodies that are as many rows as bodies only when joined are not read together."""
    bodies = [
        b'{"key":"a","value":1},{"key":"a","value":2}',
        b'{"key":"b","value":7}',
        b'{"key":"x}',
        b'{","key":"a","value":3}',
    ]

    assert fast_json.read_singles(bodies, HOUR, 16) is None


def test_many_long_bodies_are_read_in_slices(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop looks at its sockets between the slices, and every body is answered."""
    monkeypatch.setattr(fast_posts, "SLICE_S", 0.0)
    take = take_of(connection)
    body = b"[%b]" % b",".join([b'{"key":"a","value":1}'] * 50)
    read, iterations = fast_json.read, set()

    def counting(*arguments: object) -> bool:
        iterations.add(gevent.get_hub().loop.iteration)
        return read(*arguments)

    monkeypatch.setattr(fast_json, "read", counting)

    found = [accepted(outcome) for outcome in outcomes_of(take, [body] * 20)]

    assert found == [b'{"accepted":50,"rejected":0}'] * 20
    assert len(iterations) == 20
