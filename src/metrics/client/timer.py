"""A timer: a context manager and a decorator that record how long something took."""

import functools
import inspect
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_MS_PER_S = 1000.0


class Timer:
    """Records the milliseconds of a ``with`` block, or of each call of a function.

    What ends with an exception is recorded too. As a context manager one timer is for one block
    at a time; as a decorator for any number of threads and tasks.

    Args:
        record: Takes the key and the milliseconds.
        key: One that is good.
    """

    __slots__ = ("_began", "_key", "_record")

    def __init__(self, record: Callable[[str, float], None], key: str) -> None:
        self._record = record
        self._key = key
        self._began = 0.0

    def __enter__(self) -> "Timer":
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop(self._began)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, with each call recorded; a coroutine's until it has returned.

        Raises:
            TypeError: If it is a generator: only its user knows when it ends.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator ends when its user ends it: put the timer around the loop")
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._around_coroutine(function))

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._stop(began)

        return timed

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def timed(*args: object, **kwargs: object) -> object:
            began = time.perf_counter()
            try:
                return await function(*args, **kwargs)
            finally:
                self._stop(began)

        return timed

    def _stop(self, began: float) -> None:
        self._record(self._key, (time.perf_counter() - began) * _MS_PER_S)
