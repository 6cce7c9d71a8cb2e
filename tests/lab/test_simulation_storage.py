"""The storage of a simulation goes back as a replica does, and says what it lost."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from ops.lab.simulation.fake import FakeStorage
from ops.lab.simulation.real import FILE_TORN, SERVER_KILLED, RealStorage
from ops.lab.simulation.storage import Storage
from tests.conftest import SERVERS

STREAMS = ("metrics:{0}:stream", "metrics:{1}:stream")


class Ledger:
    """A ledger of which only the position is wanted: it goes on with each command."""

    def __init__(self) -> None:
        self.at = 0

    def position(self) -> int:
        """Return its position."""
        return self.at


@pytest.fixture(params=["fakeredis", *SERVERS], ids=str)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Yield every storage, empty."""
    is_fake = request.param == "fakeredis"
    storage = FakeStorage() if is_fake else RealStorage(SERVERS[request.param], tmp_path)
    storage.reset(lambda: 1_795_446_000.0, int)
    yield storage
    storage.close()


@pytest.fixture(params=SERVERS, ids=str)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealStorage]:
    """Yield a real server of every version."""
    server = RealStorage(SERVERS[request.param], tmp_path)
    yield server
    server.close()


def read(storage: Storage, stream: str, consumer: str) -> int:
    """Let a consumer read a stream; return how many entries it got."""
    reply = storage.execute(
        ("XREADGROUP", "GROUP", "aggregators", consumer, "STREAMS", stream, ">")
    )
    return len(reply[0][1]) if reply else 0


def fill(storage: Storage) -> None:
    """Append an entry to each partition and read it, so that it is pending."""
    for stream in STREAMS:
        storage.execute(("XGROUP", "CREATE", stream, "aggregators", 0, "MKSTREAM"))
        storage.execute(("XADD", stream, "*", "field", "value"))
        read(storage, stream, "worker-1")


def pending(storage: Storage) -> list[int]:
    """Return how many entries each partition has pending."""
    return [storage.execute(("XPENDING", stream, "aggregators"))[0] for stream in STREAMS]


def lengths(storage: Storage) -> list[int]:
    """Return how many entries each partition has."""
    return [storage.execute(("XLEN", stream)) for stream in STREAMS]


@pytest.mark.parametrize(
    ("partition", "left"),
    [(None, [1, 1]), (0, [1, 2]), (1, [2, 1])],
    ids=["everything", "partition 0", "partition 1"],
)
def test_what_came_after_a_snapshot_is_gone_when_it_is_put_back(
    storage: Storage, partition: int | None, left: list[int]
) -> None:
    """A snapshot that is put back removes later entries of one partition, or of all."""
    fill(storage)
    put_back = storage.snapshot()
    fill(storage)

    put_back(partition)

    assert lengths(storage) == left
    assert pending(storage) == left


def test_scripts_are_forgotten_when_a_replica_takes_over(storage: Storage) -> None:
    """A storage forgets its scripts when a replica takes over."""
    put_back = storage.snapshot()
    sha1 = storage.execute(("SCRIPT", "LOAD", "return 1"))
    put_back(0)

    assert "NoScript" in type(storage.execute(("EVALSHA", sha1, 0))).__name__


def test_nothing_of_one_schedule_is_left_for_the_next(storage: Storage) -> None:
    """A reset leaves neither names nor scripts in a storage."""
    fill(storage)
    sha1 = storage.execute(("SCRIPT", "LOAD", "return 1"))
    storage.reset(lambda: 1_795_446_000.0, int)

    assert storage.execute(("KEYS", "*")) == []
    assert "NoScript" in type(storage.execute(("EVALSHA", sha1, 0))).__name__


def test_a_killed_server_loses_nothing(server: RealStorage) -> None:
    """A killed server loses nothing."""
    server.reset(float, int)
    fill(server)

    assert server.happen(SERVER_KILLED, Random(1)) is None
    assert pending(server) == [1, 1]


@pytest.mark.parametrize("seed", range(6))
def test_a_torn_file_tells_from_where_on_something_may_be_lost(
    server: RealStorage, seed: int
) -> None:
    """A torn file keeps all commands before the returned position, and none from there on."""
    ledger = Ledger()
    server.reset(float, ledger.position)
    for number in range(1, 200):
        ledger.at = number
        server.execute(("RPUSH", "numbers", number))

    position = server.happen(FILE_TORN, Random(seed))
    kept = server.execute(("LRANGE", "numbers", 0, -1))

    assert position is not None
    assert 100 < position < 200
    assert [int(number) for number in kept] == list(range(1, position))


def test_no_more_is_torn_off_than_this_schedule_has_written(server: RealStorage) -> None:
    """A torn file loses only what its schedule has written."""
    server.reset(float, int)
    fill(server)
    server.reset(float, int)
    server.execute(("SET", "name", "value"))

    assert server.happen(FILE_TORN, Random(1)) is not None
    assert server.execute(("KEYS", "*")) == []
