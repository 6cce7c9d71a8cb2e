"""A client chooses the next collector by failover, rest and jitter."""

from random import Random

import pytest

from metrics.client.collectors import (
    BACK_OFF_S_MAX,
    BACK_OFF_S_MIN,
    RETRY_AFTER_S_MAX,
    STAY_S,
    Address,
    Collector,
    Collectors,
)

URLS = ["http://one:8000", "http://two:8000", "http://three:8000"]


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


def collectors_of(clock: Clock, urls: list[str] = URLS, seed: int = 1) -> Collectors:
    """Return the collectors at some URLs."""
    return Collectors([Address.parse(url) for url in urls], random=Random(seed), monotonic=clock)


def chosen(collectors: Collectors) -> Collector:
    """Return the collector to use now."""
    collector = collectors.choose()
    assert collector is not None
    return collector


def test_it_stays_with_one_that_answers(clock: Clock) -> None:
    """A client stays with the collector that answers."""
    collectors = collectors_of(clock)
    first = chosen(collectors)
    for _ in range(10):
        collectors.answered(first)
        clock.now += 1

        assert chosen(collectors) is first


def test_the_next_is_used_at_once_when_one_fails(clock: Clock) -> None:
    """A client uses the next collector at once after a failure, and pauses when all failed."""
    collectors = collectors_of(clock)
    used = []
    for _ in URLS:
        used.append(chosen(collectors))
        collectors.failed(used[-1])

    assert {collector.address.url for collector in used} == set(URLS)
    assert collectors.choose() is None
    assert 0 < collectors.pause_s <= BACK_OFF_S_MIN


def test_one_that_failed_is_left_alone_for_a_while(clock: Clock) -> None:
    """After a failure the next collector is used on, even when the failed one's rest is over."""
    collectors = collectors_of(clock)
    bad = chosen(collectors)
    collectors.failed(bad)
    good = chosen(collectors)
    clock.now += BACK_OFF_S_MAX

    assert good is not bad
    assert chosen(collectors) is good


def test_the_rest_grows_with_each_failure_up_to_a_limit(clock: Clock) -> None:
    """A collector's rest doubles with each failure up to a limit, with jitter of up to half."""
    collectors = collectors_of(clock, URLS[:1])
    only = chosen(collectors)
    for failure in range(40):
        longest = min(BACK_OFF_S_MIN * 2**failure, BACK_OFF_S_MAX)
        collectors.failed(only)

        assert longest / 2 <= collectors.pause_s <= longest

        clock.now += collectors.pause_s
        assert chosen(collectors) is only

    collectors.answered(only)
    collectors.failed(only)

    assert collectors.pause_s <= BACK_OFF_S_MIN


def test_many_clients_do_not_come_back_at_once(clock: Clock) -> None:
    """The rests and the first choices of 50 clients are spread by jitter."""
    rests, firsts = set(), set()
    for seed in range(50):
        collectors = collectors_of(clock, seed=seed)
        firsts.add(chosen(collectors).address.url)
        for _ in URLS:
            collectors.failed(chosen(collectors))
        rests.add(round(collectors.pause_s, 4))

    assert firsts == set(URLS)
    assert len(rests) > 40


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (3.0, 3.0, 3.0),
        (0.0, BACK_OFF_S_MIN / 2, BACK_OFF_S_MIN),
        (9e9, RETRY_AFTER_S_MAX, RETRY_AFTER_S_MAX),
    ],
)
def test_retry_after_is_honoured_within_reason(
    clock: Clock, asked: float, least: float, most: float
) -> None:
    """A collector's Retry-After sets its rest, between a least and a greatest one."""
    collectors = collectors_of(clock, URLS[:1])
    collectors.failed(chosen(collectors), asked)

    assert least <= collectors.pause_s <= most


def test_before_the_end_all_may_be_tried_once_more(clock: Clock) -> None:
    """wake() ends every collector's rest."""
    collectors = collectors_of(clock, URLS[:1])
    collectors.failed(chosen(collectors), 60.0)
    collectors.wake()

    assert collectors.pause_s == 0
    assert chosen(collectors).address.url == URLS[0]


def test_the_load_spreads_again_after_a_while(clock: Clock) -> None:
    """Every collector is used again after a while, although none has failed."""
    collectors = collectors_of(clock)
    used = set()
    for _ in range(60):
        used.add(chosen(collectors).address.url)
        clock.now += STAY_S

    assert used == set(URLS)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://one:8000", (False, "one", 8000, "/messages")),
        ("https://one", (True, "one", None, "/messages")),
        ("http://127.0.0.1:8000/metrics/", (False, "127.0.0.1", 8000, "/metrics/messages")),
        ("http://[::1]:8000", (False, "::1", 8000, "/messages")),
        ("http://bücher.example", (False, "bücher.example", None, "/messages")),
    ],
)
def test_a_url_says_where_a_collector_listens(
    url: str, expected: tuple[bool, str, int | None, str]
) -> None:
    """A URL gives TLS, host, port and path, whose prefix is kept for a proxy."""
    address = Address.parse(url)

    assert (address.is_tls, address.host, address.port, address.path) == expected


@pytest.mark.parametrize(
    "url",
    ["", "one:8000", "ftp://one", "http://", "http://one:port", "http://one?x=1", "http://[::1", 5],
)
def test_what_is_no_url_is_refused_by_name(url: object) -> None:
    """A collector that is no http URL raises an error that shows the right form."""
    with pytest.raises(ValueError, match=r"a collector is written http://host:port, got"):
        Address.parse(url)  # type: ignore[arg-type]


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    """A URL with a password is refused, and the error does not repeat the password."""
    with pytest.raises(ValueError, match="pass token=") as caught:
        Address.parse("http://me:secret@one:8000")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://[::1]:8000", "::1", "/messages"),
        ("https://[2001:db8::1]", "2001:db8::1", "/messages"),
        ("http://collector:8000/messages", "collector", "/messages"),
        ("http://proxy/metrics/messages/", "proxy", "/metrics/messages"),
    ],
)
def test_a_url_may_have_an_ipv6_address_or_be_that_of_messages(
    url: str, host: str, path: str
) -> None:
    """A URL can have an IPv6 address, and can end in `/messages` already."""
    address = Address.parse(url)

    assert (address.host, address.path) == (host, path)
