"""An app that uses all of the client, in any Python: ``whole_api.py <collector>``."""

import asyncio
import os
import sys
import time

from metrics import Client
from metrics.testing import Recorder


def record(client: Client) -> None:
    """Record in each way that there is."""
    client.record("plain", 1)
    with client.timer():
        time.sleep(0.01)

    @client.timer("called")
    def call() -> int:
        return 1

    @client.timer("awaited")
    async def wait() -> int:
        await asyncio.sleep(0.01)
        return 1

    assert call() + asyncio.run(wait()) == 2
    for key, value in (("no key", 1.0), ("plain", -1.0)):
        try:
            client.record(key, value)
        except ValueError:
            continue
        raise AssertionError((key, value))


def main(url: str) -> None:
    """Use a client, fork, use it in the child, and leave the last delivery to the exit."""
    recorder = Recorder(key="timed")
    record(recorder)
    assert [key for key, _ in recorder.messages] == ["plain", "timed", "called", "awaited"]
    record(Client(key="timed", enabled=False))

    client = Client(url, key="timed", flush_seconds=60.0)
    record(client)
    assert client.flush(60)
    assert (client.stats.recorded, client.stats.sent) == (4, 4)
    pid = os.fork()
    client.record("child" if pid == 0 else "parent", 1)
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        with Client(url) as another:
            another.record("closed", 1)
        assert another.stats.sent == 1


if __name__ == "__main__":
    import tests.client.apps.patience  # noqa: F401  (for what it sets)

    main(sys.argv[1])
