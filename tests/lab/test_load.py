"""An open-loop load sends what is due, and repeats what was not taken."""

import gzip
import json
from collections import Counter
from dataclasses import asdict, replace
from itertools import cycle
from math import inf
from time import time

import msgspec
import pytest

from ops.lab.load import apps
from ops.lab.load.plan import Load, Plan, Tick
from ops.lab.load.posts import FORMS, Form, get, order_with_hot_key, posts_of
from ops.lab.load.schedule import LATE_MAX_S, Schedule
from ops.lab.load.sender import Sender, is_whole, requests_of
from ops.lab.quantiles import Quantiles
from tests.support.fake_collector import NO_REPLY, FakeCollector, refusing

TOOK = Quantiles(100, p50=1_500_000, p99=2_500_000, p999=3_500_000, max=4_500_000_000)


def plan_of(port: int = 0, **more: object) -> Plan:
    """Return the plan of a small load."""
    few = Plan(port=port, form="client", app="app", keys=3, batch=10, connections=2, seconds=0.1)
    return replace(few, **more)  # type: ignore[arg-type]


def ticks_of(plan: Plan) -> list[Tick]:
    """Return the ticks of a sender that repeats at once."""
    sender = Sender(plan, cycle(requests_of(plan, time())), repeat_s=0)
    ticks: list[Tick] = []
    try:
        sender.run(ticks.append)
    finally:
        sender.close()
    return ticks


def columns_in(body: bytes, form: Form) -> Counter[str]:
    """Return how many messages of each key a body has."""
    decoded = json.loads(gzip.decompress(body) if form == "client" else body)
    rows = decoded if isinstance(decoded, list) else [decoded]
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["key"]] += len(row.get("values", [0]))
    return counts


@pytest.mark.parametrize("form", FORMS)
def test_posts_have_the_same_number_of_messages_of_each_key(form: Form) -> None:
    """Posts of each form have equally many messages of each key, and whole heads."""
    each = 1 if form == "single" else 200
    posts = posts_of(form, ["a", "b", "c"], each, time())
    counts: Counter[str] = Counter()

    for post in posts:
        head_of_it, _, body = post.under("name-1").partition(b"\r\n\r\n")
        counts += columns_in(body, form)

        assert f"Content-Length: {len(body)}\r\n".encode() in head_of_it
        assert head_of_it.endswith(b"\r\nIdempotency-Key: name-1")
        assert b"Idempotency-Key" not in post.under("")
        assert post.messages == each
    assert counts.total() == each * len(posts)
    assert len(set(counts.values())) == 1


def test_a_body_as_the_client_sends_it_has_one_key_and_timestamps() -> None:
    """A long body in the client's form is compressed and has a timestamp for each value."""
    (post, *_) = posts_of("client", ["a"], 200, 1_800_000_000.9)

    assert b"Content-Encoding: gzip\r\n" in post.head
    sent = json.loads(gzip.decompress(post.body))
    assert sent["timestamps"] == [1_800_000_000] * 200


def test_a_hot_key_has_its_share_of_the_posts_and_no_other_key_is_left_out() -> None:
    """A hot key has its share in each round of posts, and every other key has one."""
    keys = [i % 100 for i in order_with_hot_key(posts=100, keys=100, hot=0.9)]

    assert keys.count(0) / len(keys) == pytest.approx(0.9, abs=0.01)
    assert keys[:100].count(0) == 90
    assert {keys.count(key) for key in range(1, 100)} == {1}


def test_batches_are_due_at_a_constant_rate_until_the_end() -> None:
    """Batches are due at a constant rate until the end."""
    schedule = Schedule(10.0, begun=100.0, seconds=0.5)

    assert [schedule.take(100.25) for _ in range(4)] == [100.0, 100.1, 100.2, None]
    assert schedule.next_due == pytest.approx(100.3)
    assert schedule.due(100.25) == 3
    assert schedule.take(100.5) is None
    assert (schedule.due(999.0), schedule.taken) == (5, 3)


def test_what_is_late_for_too_long_is_left_out() -> None:
    """A batch that is late by more than LATE_MAX_S is left out."""
    schedule = Schedule(10.0, begun=0.0, seconds=100.0)

    assert schedule.take(50.0) == pytest.approx(50.0 - LATE_MAX_S)
    assert (schedule.due(50.0), schedule.taken) == (501, 1)


def test_without_a_rate_there_is_always_one_more() -> None:
    """Without a rate a batch is always due, until the end."""
    schedule = Schedule(inf, begun=0.0, seconds=100.0)

    assert [schedule.take(now) for now in (1.0, 1.0, 99.0, 100.0)] == [1.0, 1.0, 99.0, None]
    assert schedule.due(50.0) == 3


def test_a_tick_is_read_as_it_is_told() -> None:
    """A tick is read back from JSON unchanged, with latencies and without."""
    tick = Tick(due=1, sent=2, accepted=3, statuses={202: 4}, broken=5, took_ns=TOOK)
    silent = replace(tick, took_ns=None, is_last=True)

    for each in (tick, silent):
        assert msgspec.json.decode(json.dumps(asdict(each)), type=Tick) == each


def test_what_is_due_is_sent_under_keys_of_its_own(fake: FakeCollector) -> None:
    """Each batch is sent once under its own key, and ticks come from the beginning to the end."""
    first, *parts, last = ticks_of(plan_of(fake.port, messages_per_s=1000.0, tick_s=0.02))

    batches = len(fake.counted)
    assert batches >= 1
    assert (first.sent, last.due) == (0, 100)
    # All that is due, but for what comes too late where the machine is busy.
    assert last.sent == last.accepted == 10 * batches <= last.due
    assert sum(each.took_ns.count for each in parts if each.took_ns) <= batches
    assert last.took_ns is not None
    assert last.took_ns.count == batches
    assert [each.is_last for each in (first, *parts, last)].count(True) == 1
    assert last.errors == 0


def test_a_batch_that_is_not_taken_is_sent_again_under_its_key(fake: FakeCollector) -> None:
    """A batch without a 202 is sent again until it has one, and counts once."""
    fake.script = [refusing(503, stored="no"), lambda _: NO_REPLY]

    last = ticks_of(plan_of(fake.port, messages_per_s=1000.0))[-1]

    batches = len(fake.counted)
    assert batches >= 1
    assert (last.sent, last.accepted, last.broken) == (10 * batches, 10 * batches, 1)
    assert last.statuses == {202: batches, 503: 1}
    assert len(fake.requests) == batches + 2


def test_a_batch_that_is_refused_is_not_sent_again(fake: FakeCollector) -> None:
    """A refused batch is not sent again, and is an error."""
    fake.script = [refusing(400, detail="no")]

    last = ticks_of(plan_of(fake.port, messages_per_s=1000.0))[-1]

    assert (last.sent - last.accepted, last.errors) == (10, 1)
    assert last.sent == 10 * len(fake.requests)


def test_a_sender_that_fails_fails_the_load() -> None:
    """A sender that fails makes its load raise an error."""
    with Load(plan_of(1)) as load, pytest.raises(RuntimeError, match="sender"):
        list(load.ticks())


def test_without_keys_nothing_is_sent_again(fake: FakeCollector) -> None:
    """A request without a key is sent once, and one that is not taken is an error."""
    fake.script = [refusing(503, stored="no"), lambda _: NO_REPLY]

    last = ticks_of(plan_of(fake.port, messages_per_s=200.0, has_keys=False))[-1]

    assert last.due == 20
    assert last.sent == 10 * len(fake.requests) == 10 * last.errors
    assert last.accepted == 0


def test_a_query_is_one_request_without_a_body() -> None:
    """A query is a GET without a body."""
    request = get("/a/median/today").under("")

    assert request == b"GET /a/median/today HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_apps_deliver_what_they_record(fake: FakeCollector) -> None:
    """Apps with the client library deliver all that they record, and say how much that was."""
    plan = Plan(port=fake.port, keys=2, messages_per_s=200.0, seconds=0.2)
    with Load(plan, apps.MODULE) as load:
        first, last = load.ticks()

    assert (first.sent, last.due) == (0, 40)
    assert last.sent == last.accepted == 40
    assert (last.errors, last.is_last) == (0, True)


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Le", False),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{", False),
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_an_answer_is_whole_when_its_body_is(answer: bytes, whole: bool) -> None:
    """An answer is whole when its head and the whole body are there."""
    assert is_whole(answer) is whole
