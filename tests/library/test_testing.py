"""A recorder takes the place of a client in the tests of an app."""

import pytest

from metrics import Client, Stats
from metrics.testing import Recorder


def test_it_shows_what_was_recorded() -> None:
    """A recorder shows its messages in order, and its values by key."""
    recorder = Recorder()
    recorder.record("a", 1)
    recorder.record("b", 2.5)
    recorder.record("a", 3.0)

    assert recorder.messages == [("a", 1.0), ("b", 2.5), ("a", 3.0)]
    assert recorder.values("a") == [1.0, 3.0]
    assert recorder.values("c") == []
    assert recorder.stats == Stats(recorded=3, sent=3)

    recorder.clear()

    assert recorder.messages == []


def test_it_is_a_client() -> None:
    """A recorder is a client: timer, flush and close work on it."""
    with Recorder(key="app") as recorder:
        with recorder.timer():
            pass

        assert isinstance(recorder, Client)
        assert recorder.flush()
        assert recorder.close()
        assert len(recorder.values("app")) == 1


@pytest.mark.parametrize(("key", "value"), [("a b", 1.0), ("a", -1.0), ("a", "1")])
def test_what_a_client_refuses_it_refuses(key: str, value: float) -> None:
    """A recorder refuses a wrong key or value as a client does."""
    recorder = Recorder()

    with pytest.raises(ValueError, match="must be"):
        recorder.record(key, value)

    assert recorder.messages == []
