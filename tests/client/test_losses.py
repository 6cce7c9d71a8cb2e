"""What was lost before it came to the client is reported like what the client drops itself."""

from collections.abc import Callable

import pytest

from metrics import Client
from metrics.client.buffer import Buffer
from tests.support.clients import client_of
from tests.support.fake_collector import FakeCollector


def test_losses_are_reported_though_nothing_was_recorded(fake: FakeCollector) -> None:
    """A loss is sent by itself, counts once, and is none of the client's own."""
    with client_of(fake) as client:
        client.report_dropped("a", 3)
        client.report_dropped("a", 4)
        client.report_dropped("b", 1)
        assert client.close(timeout=30)

        assert (fake.dropped("a"), fake.dropped("b")) == (7, 1)
        assert (client.stats.recorded, client.stats.dropped) == (0, 0)


def test_losses_go_with_what_was_recorded(fake: FakeCollector) -> None:
    """Values and losses that are there at the same time go in one batch."""
    with client_of(fake, flush_seconds=60) as client:
        client.record("a", 1.0)
        client.report_dropped("a", 3)
        assert client.flush(timeout=30)

        assert len(fake.requests) == 1
        assert (fake.values("a"), fake.dropped("a")) == ([1.0], 3)


def test_losses_belong_to_their_hour() -> None:
    """A loss is of the hour in which it was reported, however late it is taken."""
    now = 3600.0 * 10
    buffer = Buffer(values_max=1, batch_size=1, now=lambda: now, call=lambda: None)
    buffer.add_loss("a", 2)
    now = 3600.0 * 11
    buffer.add_loss("a", 3)

    assert buffer.take_losses() == {("a", 10): 2, ("a", 11): 3}
    assert buffer.take_losses() == {}


@pytest.mark.parametrize("options", [{}, {"enabled": False}])
@pytest.mark.parametrize(("key", "dropped"), [("a b", 1), ("a", 0), ("a", 10**9 + 1), ("a", 1.0)])
def test_what_is_no_loss_is_refused(
    make: Callable[..., Client], options: dict[str, bool], key: str, dropped: int
) -> None:
    """A wrong key or number is a ValueError, as with record; also where nothing is sent."""
    client = make(**options)

    with pytest.raises(ValueError, match="must be"):
        client.report_dropped(key, dropped)


@pytest.fixture
def make(fake: FakeCollector) -> Callable[..., Client]:
    """Return what makes a client of a collector."""
    return lambda **options: Client(fake.url, environ={}, **options)
