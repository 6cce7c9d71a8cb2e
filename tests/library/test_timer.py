"""A timer records milliseconds, whatever it is put around."""

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from metrics import Client
from metrics.testing import Recorder

PAUSE_S = 0.02


@pytest.fixture
def recorder() -> Recorder:
    """Return a client that remembers, of the instance ``app``."""
    return Recorder(key="app")


def the_value(recorder: Recorder, key: str = "app") -> float:
    """Return the one value that was recorded."""
    (value,) = recorder.values(key)
    return value


def test_a_block_is_recorded_in_milliseconds(recorder: Recorder) -> None:
    """A timed block is recorded in milliseconds, under the client's key by default."""
    with recorder.timer():
        time.sleep(PAUSE_S)

    assert 1000 * PAUSE_S <= the_value(recorder) < 1000


def test_a_block_may_have_a_key_of_its_own(recorder: Recorder) -> None:
    """A timed block can have a key of its own."""
    with recorder.timer("db.web-1"):
        pass

    assert the_value(recorder, "db.web-1") >= 0


def test_what_ends_with_an_exception_is_recorded_too(recorder: Recorder) -> None:
    """A timed block that raises is recorded, and its exception is passed on."""
    with pytest.raises(KeyError), recorder.timer():
        raise KeyError

    assert the_value(recorder) >= 0


def test_a_function_is_recorded_at_each_call(recorder: Recorder) -> None:
    """A timed function is recorded at each call and keeps its name, arguments and result."""

    @recorder.timer()
    def doubled(number: int) -> int:
        """Return twice the number."""
        time.sleep(PAUSE_S)
        return 2 * number

    assert [doubled(1), doubled(number=2)] == [2, 4]
    assert doubled.__name__ == "doubled"
    assert len(recorder.values("app")) == 2
    assert all(value >= 1000 * PAUSE_S for value in recorder.values("app"))


def test_a_coroutine_is_recorded_until_it_has_returned(recorder: Recorder) -> None:
    """A timed coroutine is recorded until it has returned, also when several run at a time."""

    @recorder.timer()
    async def wait(pause_s: float) -> float:
        await asyncio.sleep(pause_s)
        return pause_s

    async def main() -> list[float]:
        return await asyncio.gather(wait(PAUSE_S), wait(2 * PAUSE_S))

    assert asyncio.run(main()) == [PAUSE_S, 2 * PAUSE_S]
    short, long = sorted(recorder.values("app"))
    assert short >= 1000 * PAUSE_S
    assert long >= 2000 * PAUSE_S


def test_a_coroutine_that_is_cancelled_or_fails_is_recorded(recorder: Recorder) -> None:
    """A timed coroutine that fails or is cancelled is recorded."""

    @recorder.timer()
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    @recorder.timer()
    async def hang() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        with pytest.raises(ValueError, match=r"^$"):
            await fail()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(hang(), 0.01)

    asyncio.run(main())

    assert len(recorder.values("app")) == 2


def test_a_coroutine_behind_a_partial_is_one(recorder: Recorder) -> None:
    """A coroutine function behind functools.partial is timed until it has returned."""

    async def wait(pause_s: float) -> None:
        await asyncio.sleep(pause_s)

    timed: Callable[[], object] = recorder.timer()(functools.partial(wait, PAUSE_S))

    asyncio.run(timed())  # type: ignore[arg-type]

    assert the_value(recorder) >= 1000 * PAUSE_S


def test_one_decorator_serves_many_threads(recorder: Recorder) -> None:
    """Each call of a timed function in many threads is timed by itself."""

    @recorder.timer()
    def wait(pause_s: float) -> None:
        time.sleep(pause_s)

    threads = [threading.Thread(target=wait, args=(PAUSE_S * n,)) for n in (1, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    short, long = sorted(recorder.values("app"))
    assert 1000 * PAUSE_S <= short <= long
    assert long >= 3000 * PAUSE_S


def test_a_generator_is_refused(recorder: Recorder) -> None:
    """A timer around a generator function raises TypeError."""

    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match="put the timer around the loop"):
            recorder.timer()(function)


def test_a_timer_without_a_key_is_an_error_at_once() -> None:
    """A timer without a key, or with a wrong one, raises an error when it is made."""
    client = Client(enabled=False, environ={})

    with pytest.raises(ValueError, match="a timer needs a key: pass one, or key= to the client"):
        client.timer()
    with pytest.raises(ValueError, match="key must be 1 to 128 characters"):
        client.timer("a b")
