"""Threads, locks and sleep of the system, also where gevent has put its own in their place.

A greenlet would not do for what must go on whatever the app does. Recorded first in a thread of a
pool, it would stand still with that. In a forked child it would still be there, and send what its
parent sends. And in the event loop itself nothing may wait, not even until it has begun.

Source:
    gevent 26, ``gevent.monkey.get_original``.
"""

import _thread
import sys
import time
from collections.abc import Callable
from typing import Any


def start(run: Callable[[], None]) -> None:
    """Start a thread that no exit waits for; it may begin any time after.

    Raises:
        RuntimeError: If there can be no more threads.
    """
    # Not threading.Thread: its start() waits, for ever once the interpreter is taken apart.
    _original(_thread, "start_new_thread")(run, ())


def new_lock() -> _thread.LockType:
    """Return a lock; whoever waits for it holds up all greenlets of its thread."""
    lock: _thread.LockType = _original(_thread, "allocate_lock")()
    return lock


def sleep(seconds: float) -> None:
    """Let this thread rest, with all of its greenlets."""
    _original(time, "sleep")(seconds)


def _original(module: Any, name: str) -> Any:  # noqa: ANN401
    # Another thread may be just importing it: it has patched nothing then, and lacks its functions.
    get_original = getattr(sys.modules.get("gevent.monkey"), "get_original", None)
    return get_original(module.__name__, name) if get_original else getattr(module, name)
