"""What a client is made with, and what it refuses when the app starts."""

import math
from typing import Any

import pytest

from metrics import Client
from tests.client.test_client import TOKEN
from tests.support.fake_collector import (
    FakeCollector,
)


def test_the_environment_may_say_it_all(fake: FakeCollector) -> None:
    """A client can take its collectors, token and key from the environment."""
    environ = {
        "METRICS_COLLECTORS": f" {fake.url} , http://127.0.0.1:1",
        "METRICS_TOKEN": TOKEN,
        "METRICS_KEY": "checkout.web-1",
    }
    with Client(environ=environ) as client:
        with client.timer():
            pass

        assert client.key == "checkout.web-1"
        assert client.flush(60)

    assert len(fake.values("checkout.web-1")) == 1
    assert fake.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"collectors": []}, "a client needs collectors: pass their URLs, or set METRICS_COLL"),
        ({"collectors": None}, "a client needs collectors"),
        ({"collectors": "collector-1:8000"}, "a collector is written http://host:port"),
        ({"key": "a b"}, "key must be 1 to 128 characters"),
        ({"token": "with\nnewline"}, "token must be printable ASCII"),
        ({"max_buffered": 1}, "max_buffered must be at least 2, got 1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"flush_seconds": -1}, "flush_seconds must be at least 0, got -1"),
        ({"flush_seconds": float("nan")}, "flush_seconds must be at least 0, got nan"),
        ({"answer_seconds": 0}, "answer_seconds must be at least 0.001, got 0"),
        ({"connect_seconds": 0}, "connect_seconds must be at least 0.001, got 0"),
        ({"repeat_seconds": 1}, "repeat_seconds must be at least 2.5, got 1"),
    ],
)
def test_what_cannot_be_used_is_an_error_when_the_app_starts(
    options: dict[str, Any], told: str
) -> None:
    """A wrong option of Client() raises an error that names it and does not repeat a token."""
    with pytest.raises(ValueError, match=told) as caught:
        Client(**{"collectors": "http://one", "environ": {}, **options})

    assert "newline" not in str(caught.value)


def test_a_client_may_be_switched_off() -> None:
    """A client with `enabled=False` checks its arguments, and starts and counts nothing."""
    with Client(enabled=False, environ={}) as client:
        client.record("a", 1.0)
        with client.timer("a"):
            pass
        with pytest.raises(ValueError, match="value must be 0 or more"):
            client.record("a", -1.0)

        assert client.flush()
        assert client.stats.recorded == 0
        assert not client._sender.is_alive


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 10.0),
        ("batch_size", 2.5),
        ("max_buffered", 50.5),
        ("answer_seconds", math.inf),
        ("connect_seconds", 1e10),
        ("flush_seconds", math.inf),
        ("repeat_seconds", math.nan),
    ],
)
def test_a_parameter_that_would_lose_everything_is_refused(name: str, value: float) -> None:
    """Counts are whole numbers, and times are at most a day."""
    with pytest.raises(ValueError, match=f"{name} must be"):
        Client("http://localhost:8000", **{name: value})


@pytest.mark.parametrize(
    "url", ["http://a b:1", "http://host:1/ä", "http://ho\tst:1", "http://h:1/a b"]
)
def test_a_url_that_cannot_be_asked_is_refused(url: str) -> None:
    """A collector's URL has no spaces and is ASCII."""
    with pytest.raises(ValueError, match="a collector is written http://host:port"):
        Client(["http://localhost:8000", url])
