"""An agent takes what comes to its sockets, all of it before it ends, and is told what was not."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metrics.statsd import datagrams, streams
from metrics.statsd.agent import Agent
from metrics.statsd.datagrams import DatagramSocket
from metrics.statsd.intake import Intake
from metrics.statsd.names import Names
from ops.local.waiting import wait_until
from tests.statsd.test_intake import OWN, Losses


class Beside:
    """An agent in a thread, which takes lines at all its places.

    Attributes:
        client: Remembers what was recorded.
        agent: The agent.
    """

    def __init__(self, folder: Path) -> None:
        self.client = Losses()
        self.intake = Intake(self.client, Names(), own_key=OWN)
        self.agent = Agent(self.client, self.intake)
        self.agent.listen_udp("127.0.0.1", 0)
        self.agent.listen_unix(str(folder / "s"))
        self.agent.listen_tcp("127.0.0.1", 0)
        self._thread = threading.Thread(target=self.agent.run, daemon=True)

    def start(self) -> None:
        """Begin to take lines."""
        self._thread.start()

    def finish(self) -> None:
        """Stop it, and wait for its end."""
        self.agent.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def connected(self, place: str) -> socket.socket:
        """Return a socket that sends to a place."""
        family, kind, address = self._places()[place]
        sender = socket.socket(family, kind)
        sender.connect(address)
        return sender

    def _places(self) -> dict[str, tuple[int, int, tuple[str, int] | str]]:
        udp, unix, tcp = (name.partition(" ")[2] for name in self.agent.places)
        inet = socket.AF_INET
        return {
            "udp": (inet, socket.SOCK_DGRAM, ("127.0.0.1", int(udp.rpartition(":")[2]))),
            "unix": (socket.AF_UNIX, socket.SOCK_DGRAM, unix),
            "tcp": (inet, socket.SOCK_STREAM, ("127.0.0.1", int(tcp.rpartition(":")[2]))),
        }


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    """Yield an agent that is not started yet."""
    found = Beside(tmp_path)
    yield found
    found.agent.close(0)


PLACES = ("udp", "unix", "tcp")

told_by_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="no other kernel says how many datagrams it dropped"
)


@pytest.mark.parametrize("place", PLACES)
def test_what_comes_is_recorded(beside: Beside, place: str) -> None:
    """Lines are recorded while the agent runs, at each of its places."""
    beside.start()
    with beside.connected(place) as sender:
        sender.send(b"a:1|ms\na:2|ms\n")
        wait_until(lambda: beside.client.values("a") == [1.0, 2.0])
        sender.send(b"a:3|ms\n")
        wait_until(lambda: beside.client.values("a") == [1.0, 2.0, 3.0])
    beside.finish()


@pytest.mark.parametrize("place", PLACES)
def test_what_is_in_the_socket_at_the_end_is_recorded(beside: Beside, place: str) -> None:
    """An agent that is stopped takes all that was sent before, also what it had not looked at."""
    with beside.connected(place) as sender:
        for number in range(8):  # as many as a unix socket holds
            sender.send(b"a:%d|ms\n" % number)
        beside.agent.stop()
        beside.start()
        beside.finish()

    assert beside.client.values("a") == list(range(8))


@pytest.mark.parametrize("place", PLACES)
def test_who_sends_later_is_told(beside: Beside, place: str) -> None:
    """Once it is stopped, nothing vanishes without a word: a sender gets an error."""
    with beside.connected(place) as sender:
        beside.agent.stop()
        beside.start()
        beside.finish()

        def is_told() -> bool:
            try:
                sender.send(b"a:1|ms")
            except OSError:
                return True
            return False

        wait_until(is_told)


@contextmanager
def udp(take: Callable[[bytes], None]) -> Iterator[tuple[DatagramSocket, socket.socket]]:
    """Yield a socket for datagrams, and one that sends to it."""
    taking = DatagramSocket.udp("127.0.0.1", 0, take)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", int(taking.name.rpartition(":")[2])))
        yield taking, sender
    taking.close()


@told_by_linux
def test_each_datagram_is_taken_or_told_as_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel had no room for is known to the last datagram, though none came after it."""
    monkeypatch.setattr(datagrams, "RECEIVE_BUFFER_BYTES", 20_000)
    taken: list[bytes] = []
    with udp(taken.append) as (taking, sender):
        for _ in range(2):
            for _ in range(1000):
                sender.send(b"a:1|ms")
            taking.read_all()
            dropped = taking.newly_dropped()

            assert 0 < dropped < 1000
            assert len(taken) + dropped == 1000
            assert taking.newly_dropped() == 0
            taken.clear()


@told_by_linux
def test_dropped_datagrams_are_reported_under_the_key_of_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour's answers say how many datagrams were dropped, under the agent's own key."""
    monkeypatch.setattr(datagrams, "RECEIVE_BUFFER_BYTES", 20_000)
    beside = Beside(tmp_path)
    with beside.connected("udp") as sender:
        for _ in range(1000):
            sender.send(b"a:1|ms")
        beside.start()
        beside.finish()
    beside.agent.close(0)

    assert beside.client.lost[OWN] > 0
    assert len(beside.client.values("a")) + beside.client.lost[OWN] == 1000


def test_the_next_datagrams_may_gather_unless_more_wait() -> None:
    """After a socket is empty its datagrams may gather; while it is not there is no pause."""
    with udp(lambda _: None) as (taking, sender):
        sender.send(b"")
        assert 0 < taking.read() <= datagrams.GATHER_S_MAX
        for _ in range(datagrams.AT_ONCE):
            sender.send(b"a:1|ms")
        assert taking.read() == 0


def test_a_path_is_taken_over_from_one_that_was_killed(tmp_path: Path) -> None:
    """A socket file that nobody listens at is replaced; one that somebody does is left alone."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(path)
    taking = DatagramSocket.unix(path, lambda _: None)

    with pytest.raises(FileExistsError, match="another process listens"):
        DatagramSocket.unix(path, lambda _: None)
    taking.close()
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="is no socket"):
        DatagramSocket.unix(str(tmp_path / "file"), lambda _: None)


def test_every_user_of_the_machine_may_send(tmp_path: Path) -> None:
    """The socket file may be written by all, and read by none of the others."""
    taking = DatagramSocket.unix(str(tmp_path / "s"), lambda _: None)
    taking.close()

    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o722


def test_a_line_over_tcp_may_come_in_pieces(beside: Beside) -> None:
    """Lines are put together again, and the last one needs no end."""
    beside.start()
    with beside.connected("tcp") as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"a:1", b"|ms\na", b":2|ms\na:3|", b"ms"):
            sender.send(piece)
    wait_until(lambda: beside.client.values("a") == [1.0, 2.0, 3.0])
    beside.finish()


def test_a_line_without_end_ends_its_connection(beside: Beside) -> None:
    """A line that is too long is one loss, and its connection is closed."""
    beside.start()
    with beside.connected("tcp") as sender:
        sender.sendall(b"a" * (streams.LINE_BYTES_MAX + 1))
        assert sender.recv(1) == b""
    beside.finish()

    assert beside.client.lost == {OWN: 1}


def test_there_are_not_more_connections_than_there_is_room_for(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection too many is closed; those there are go on."""
    monkeypatch.setattr(streams, "CONNECTIONS_MAX", 1)
    beside.start()
    with beside.connected("tcp") as first:
        first.send(b"a:1|ms\n")
        wait_until(lambda: beside.client.values("a"))
        with beside.connected("tcp") as second:
            assert second.recv(1) == b""
        first.send(b"a:2|ms\n")
        wait_until(lambda: beside.client.values("a") == [1.0, 2.0])
    beside.finish()


def test_it_may_be_stopped_again_while_it_delivers(beside: Beside) -> None:
    """A second signal, when the sockets are closed already, changes nothing."""
    beside.start()
    beside.finish()
    beside.agent.close(0)

    beside.agent.stop()


def test_a_port_that_is_taken_is_an_error() -> None:
    """Who cannot listen does not start."""
    with udp(lambda _: None) as (taking, _), pytest.raises(OSError, match="in use"):
        DatagramSocket.udp("127.0.0.1", int(taking.name.rpartition(":")[2]), lambda _: None)
