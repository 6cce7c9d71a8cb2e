"""The ledger has how often each message must be counted, and compares that with what was."""

import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lab.ledger import (
    MESSAGES_MAX,
    NOTHING,
    Counted,
    Difference,
    Ledger,
    Message,
    Outcome,
    outcome_of,
)

KEY = "checkout.web-1"


def counted(times: dict[int, int]) -> Counted:
    """Return the sum and count of a key whose messages were counted so often."""
    total = sum(Message(KEY, number).value * count for number, count in times.items())
    return Counted(float(total), sum(times.values()))


def sent(ledger: Ledger, batch: str, *outcomes: Outcome | None, messages: int = 1) -> None:
    """Send a batch once for each outcome; None is an attempt that nobody heard of again."""
    ledger.open(batch, [KEY] * messages)
    for outcome in outcomes:
        attempt = ledger.about_to_send(batch)
        if outcome is not None:
            ledger.answered(attempt, outcome)


@given(st.dictionaries(st.integers(0, MESSAGES_MAX - 1), st.integers(1, 3)))
def test_the_digits_of_the_sum_tell_how_often_each_message_was_counted(
    times: dict[int, int],
) -> None:
    """The sum of a key shows how often each message was counted, up to three times."""
    assert counted(times).times() == times


@given(
    st.dictionaries(st.integers(0, MESSAGES_MAX - 1), st.integers(0, 40), min_size=1),
    st.integers(0, MESSAGES_MAX - 1),
    st.integers(4, 40),
)
def test_a_message_counted_four_times_does_not_pass_for_others(
    times: dict[int, int], number: int, often: int
) -> None:
    """A message counted four times or more makes the sum differ from the count."""
    with pytest.raises(ValueError, match="has the digits"):
        counted({**times, number: often}).times()


@pytest.mark.parametrize("total", [0.5, -1.0, 4.0**26, float("inf"), float("nan")])
def test_a_sum_of_no_such_messages_is_found(total: float) -> None:
    """A sum that no messages can have raises an error."""
    with pytest.raises(ValueError, match="has the digits"):
        Counted(total, 1).times()


def test_values_are_exact_up_to_the_last_message_of_a_key() -> None:
    """The sum of all messages of a key, three times each, is exact."""
    times = dict.fromkeys(range(MESSAGES_MAX), 3)

    assert counted(times).sum + 1 != counted(times).sum
    assert counted(times).times() == times


@pytest.mark.parametrize(
    ("outcomes", "may_be"),
    [
        ((), {0}),
        (("ok",), {1}),
        (("fail",), {0}),
        (("info",), {0, 1}),
        ((None,), {0, 1}),
        (("info", "ok"), {1}),
        (("ok", "fail"), {1}),
        (("ok", None), {1}),
        (("fail", "info"), {0, 1}),
        ((None, "fail"), {0, 1}),
        (("fail", "fail"), {0}),
    ],
)
@pytest.mark.parametrize("times", [0, 1, 2])
def test_the_outcomes_of_all_attempts_say_how_often_a_message_counts(
    outcomes: tuple[Outcome | None, ...], may_be: set[int], times: int
) -> None:
    """A message counts once after an ok, at most once after an unknown outcome, else never."""
    ledger = Ledger()
    sent(ledger, "batch-1", *outcomes)

    differences = ledger.check({KEY: counted({0: times})} if times else {})

    assert (not differences) == (times in may_be)


def test_a_difference_names_batch_message_and_key() -> None:
    """A difference names batch, message and key, and a loss does not hide a duplicate."""
    ledger = Ledger()
    sent(ledger, "batch-1", "ok", messages=2)
    sent(ledger, "batch-2", "ok")

    differences = ledger.check({KEY: counted({0: 2, 2: 1})})

    assert differences == [
        Difference("batch-1", 0, KEY, "1", 2),
        Difference("batch-1", 1, KEY, "1", 0),
    ]
    assert str(differences[0]) == (
        f"key {KEY}: message 0 of batch batch-1: counted 2 times, expected 1"
    )


def test_a_message_that_nobody_sent_is_a_difference() -> None:
    """A counted message that nobody sent is a difference, for a known key or another."""
    ledger = Ledger()
    sent(ledger, "batch-1", "ok")

    differences = ledger.check({KEY: counted({0: 1, 7: 1}), "other": counted({3: 1})})

    assert differences == [Difference("", 7, KEY, "0", 1), Difference("", 3, "other", "0", 1)]
    assert "message 7 that nobody sent: counted 1 times" in str(differences[0])


def test_a_key_with_too_many_duplicates_is_one_difference() -> None:
    """A key with too many duplicates is one difference, and other keys are still compared."""
    ledger = Ledger()
    sent(ledger, "batch-1", "ok")
    ledger.open("batch-2", ["other"])
    ledger.answered(ledger.about_to_send("batch-2"), "ok")

    differences = ledger.check({KEY: counted({0: 4})})

    assert differences == [
        Difference("", -1, KEY, "1", 4),
        Difference("batch-2", 0, "other", "1", 0),
    ]
    assert str(differences[0]) == f"key {KEY}: count 4 does not fit the sum: many duplicates"


def test_before_all_is_drained_only_too_much_is_a_difference() -> None:
    """Before the backlog is drained only a duplicate is a difference."""
    ledger = Ledger()
    sent(ledger, "batch-1", "ok", messages=2)

    assert ledger.check({}, is_drained=False) == []
    assert ledger.check({KEY: counted({0: 2})}, is_drained=False) != []
    assert ledger.check({KEY: NOTHING}) != []


def test_what_was_acknowledged_before_a_rollback_may_be_missing_if_it_came_after_that_point() -> (
    None
):
    """After a rollback only messages since its point may be missing, and none may count twice."""
    ledger = Ledger()
    sent(ledger, "before", "ok")
    position = ledger.position()
    sent(ledger, "lost", "ok")
    sent(ledger, "again", "ok")
    sent(ledger, "refused", "fail")
    ledger.open("under way", [KEY])
    under_way = ledger.about_to_send("under way")
    ledger.rolled_back(position)
    ledger.answered(under_way, "ok")
    ledger.answered(ledger.about_to_send("again"), "ok")

    assert ledger.check({KEY: counted({0: 1, 2: 1})}) == []
    assert ledger.check({KEY: counted({0: 1, 1: 1, 2: 1, 4: 1})}) == []
    for wrong in ({2: 1}, {0: 1}, {0: 1, 2: 2}, {0: 1, 1: 2, 2: 1}, {0: 1, 2: 1, 3: 1}):
        assert ledger.check({KEY: counted(wrong)}) != []


def test_a_rollback_concerns_its_keys_alone() -> None:
    """A rollback concerns only the keys of its partitions."""
    ledger = Ledger()
    ledger.open("batch-1", [KEY, "other"])
    attempt = ledger.about_to_send("batch-1")
    ledger.answered(attempt, "ok")
    ledger.rolled_back(0, concerns=lambda key: key == "other")

    assert ledger.counts() == {"1": 1, "0 or 1": 1}
    assert [each.key for each in ledger.check({})] == [KEY]


def test_a_batch_and_an_outcome_are_written_once() -> None:
    """A batch and an outcome are written once, and a key has at most MESSAGES_MAX messages."""
    ledger = Ledger()
    ledger.open("batch-1", [KEY] * (MESSAGES_MAX - 1))
    attempt = ledger.about_to_send("batch-1")
    ledger.answered(attempt, "info")

    assert ledger.room_of(KEY) == 1
    with pytest.raises(ValueError, match="in the ledger already"):
        ledger.open("batch-1", [KEY])
    with pytest.raises(ValueError, match="use another"):
        ledger.open("batch-2", [KEY, KEY])
    with pytest.raises(ValueError, match="its outcome already: info"):
        ledger.answered(attempt, "ok")


@pytest.mark.parametrize(
    ("status", "stored", "outcome"),
    [
        (202, None, "ok"),
        (400, None, "fail"),
        (422, None, "fail"),
        (503, "no", "fail"),
        (503, "unknown", "info"),
        (503, None, "info"),
        (500, "unknown", "info"),
        (502, None, "info"),
        (200, None, "info"),
    ],
)
def test_an_answer_says_what_became_of_its_messages(
    status: int, stored: str | None, outcome: Outcome
) -> None:
    """Only a 202 is ok, and only an answer that rules out storage is a failure."""
    assert outcome_of(status, stored) == outcome


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Make threads take turns all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_many_threads_write_into_one_ledger() -> None:
    """Messages of many threads each get a number of their own."""
    ledger = Ledger()
    given_out: list[Message] = []
    together = threading.Barrier(8)

    def send(client: int) -> None:
        together.wait()
        for i in range(200):
            keys = [f"key-{i}", f"key-{i}"]
            given_out.extend(ledger.open(f"{client}/{i}", keys))
            ledger.answered(ledger.about_to_send(f"{client}/{i}"), "ok")

    threads = [threading.Thread(target=send, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(Counter(given_out).values()) == {1}
    assert ledger.counts() == {"1": 3200}
