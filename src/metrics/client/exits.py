"""Ends of processes, at which a client delivers what it still has."""

import sys
import weakref
from collections.abc import Callable


def if_alive(method: Callable[[], None]) -> Callable[[], None]:
    """Return what calls a method as long as its object lives, and does not keep it alive."""
    weak = weakref.WeakMethod(method)

    def call() -> None:
        alive = weak()
        if alive is not None:
            alive()

    return call


def at_exit_of_child(close: Callable[[], None]) -> None:
    """Have a child of multiprocessing, or of Celery's pool, close.

    Both end without the exit functions of ``atexit``.
    """
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, close, exitpriority=0)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        # Sent in the child; connected twice it is one receiver.
        celery.worker_process_shutdown.connect(
            lambda **_: close(), weak=False, dispatch_uid=f"metrics.client {id(close)}"
        )
