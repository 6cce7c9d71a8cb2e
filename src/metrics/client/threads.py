"""Threads, locks and sleep of the system, also where gevent has put its own in their place.

The sender needs a thread of the system even after ``monkey.patch_all()``: a greenlet stops with its
hub, survives a fork, and would block the event loop while it starts.

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
