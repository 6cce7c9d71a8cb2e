"""The way to Redis: nothing is repeated, and every error is one of the library's."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metrics.connection import Call, Connection, Script, command, done
from metrics.errors import (
    GroupMissingError,
    SettingsError,
    StorageUnavailableError,
    StorageUnsoundError,
    UnexpectedReplyError,
)
from metrics.node import Node
from ops.lab.chaos.proxy import Proxy
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis
from ops.local.waiting import wait_until
from tests.conftest import SERVERS
from tests.support.scenarios import run


@pytest.fixture
def proxy(redis_server: EmbeddedRedis) -> Iterator[Proxy]:
    """Yield a proxy in front of Redis."""
    proxy = Proxy(redis_server.port).start()
    yield proxy
    proxy.close()


def through(proxy: Proxy, timeout_s: float = 5.0) -> Connection:
    """Return the way to Redis that leads through the proxy."""
    return Connection.open(
        f"redis://127.0.0.1:{proxy.port}", timeout_s=timeout_s, connections_max=2
    )


def stored_in(error: object) -> str:
    """Return what an error says about what was sent."""
    assert isinstance(error, StorageUnavailableError)
    return error.stored


def test_calls_go_out_together_and_each_has_its_reply(connection: Connection) -> None:
    """Calls sent together each have their reply, and an error of one leaves the others alone."""
    replies = connection.execute(
        [command("SET", "a", "1"), command("XLEN", "a"), command("INCR", "a"), command("NONSENSE")]
    )

    assert replies[0] == b"OK"
    assert isinstance(replies[1], StorageUnsoundError)
    assert replies[2] == 2
    assert isinstance(replies[3], UnexpectedReplyError)


def test_a_script_that_the_server_forgot_is_loaded_and_runs_once(connection: Connection) -> None:
    """A script that Redis has forgotten is loaded, and each of its calls runs once."""
    text = "return redis.call('INCR', KEYS[1])"
    script = Script(text, connection.ask(command("SCRIPT", "LOAD", text)).decode())
    connection.ask(command("SCRIPT", "FLUSH"))

    replies = connection.execute([script.call(["n"], []), script.call(["n"], [])])

    assert replies == [1, 2]


def test_a_lost_reply_is_unknown_and_nothing_is_sent_again(
    connection: Connection, proxy: Proxy
) -> None:
    """A call whose reply is lost is an error with `stored: unknown`, and is not sent again."""
    away = through(proxy)
    assert away.ask(command("PING")) == b"PONG"
    proxy.set_mode("cut before reply")

    (error,) = away.execute([command("RPUSH", "list", "x")])

    assert stored_in(error) == "unknown"
    proxy.set_mode("pass")
    assert away.ask(command("LLEN", "list")) == 1


def test_a_reply_that_comes_late_does_not_answer_the_next_call(
    connection: Connection, proxy: Proxy
) -> None:
    """A reply that comes too late does not answer the next call."""
    away = through(proxy, timeout_s=1.0)
    assert away.ask(command("PING")) == b"PONG"
    proxy.set_mode("hang")

    (error,) = away.execute([command("ECHO", "first")])

    assert stored_in(error) == "unknown"
    proxy.set_mode("pass")
    assert away.ask(command("ECHO", "second")) == b"second"


def test_without_a_server_nothing_was_stored() -> None:
    """A refused connection is an error with `stored: no`."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)

    with pytest.raises(StorageUnavailableError, match="Redis is away") as caught:
        nobody.ask(command("PING"))

    assert caught.value.stored == "no"


WRITING = Script.named("append").call(
    ["metrics:{0}:stream", "metrics:{0}:audit", "metrics:{0}:backlog"],
    [10, 900, 5, 1, "", 1, 1, 1, "2026-11-23T14:a", "1.0"],
)


@pytest.mark.parametrize("call", [command("SET", "a", "1"), WRITING], ids=["command", "script"])
@pytest.mark.parametrize(("setting", "value"), [("maxmemory", "1"), ("min-replicas-to-write", "1")])
def test_a_write_that_is_refused_was_not_done(
    connection: Connection, setting: str, value: str, call: Call
) -> None:
    """A write refused for want of memory or replicas is an error with `stored: no`."""
    connection.ask(command("CONFIG", "SET", setting, value))
    try:
        (error,) = connection.execute([call])
    finally:
        connection.ask(command("CONFIG", "SET", setting, "0"))

    assert stored_in(error) == "no"
    assert connection.ask(command("DBSIZE")) == 0


@pytest.fixture
def replica(
    connection: Connection, redis_server: EmbeddedRedis, tmp_path: Path
) -> Iterator[EmbeddedRedis]:
    """Yield a replica of the Redis that ``connection`` leads to."""
    connection.ask(command("CONFIG", "SET", "repl-diskless-sync-delay", 0))
    server = EmbeddedRedis(
        SERVERS[max(SERVERS)],
        port=free_port(),
        folder=tmp_path,
        options=("--replicaof", "127.0.0.1", str(redis_server.port)),
    ).start()
    look = Connection.open(server.url, timeout_s=5, connections_max=1)
    wait_until(lambda: b"master_link_status:up" in look.ask(command("INFO", "replication")), 30)
    look.close()
    # Up on its side is not yet online on the master's, which is what WAIT counts; and the master
    # may still list the replica of the test before.
    online = f"port={server.port},state=online".encode()
    wait_until(lambda: online in connection.ask(command("INFO", "replication")), 30)
    wait_until(lambda: connection.execute([WRITING], replicas=1) == [[1]], 30)
    connection.ask(command("FLUSHALL"))
    yield server
    server.stop(signal.SIGKILL)


def test_what_must_be_on_a_replica_is_there_when_the_reply_comes(
    connection: Connection, replica: EmbeddedRedis
) -> None:
    """A write that waits for a replica is there when its reply comes, also with a new script."""
    connection.ask(command("SCRIPT", "FLUSH"))
    look = Connection.open(replica.url, timeout_s=5, connections_max=1)

    assert connection.execute([WRITING], replicas=1) == [[1]]

    assert look.ask(command("EXISTS", "metrics:{0}:stream")) == 1
    look.close()


def test_too_few_replicas_leave_a_write_unknown(
    connection: Connection, replica: EmbeddedRedis
) -> None:
    """A write that too few replicas have in time is an error with `stored: unknown`."""
    connection.execute([WRITING])
    replica.process.send_signal(signal.SIGSTOP)

    refused, error = connection.execute([command("NONSENSE"), WRITING], replicas=1)

    assert isinstance(refused, UnexpectedReplyError)
    assert stored_in(error) == "unknown"
    assert "fewer than 1 replicas have it in time: 0" in str(error)


def test_a_node_that_is_given_up_lets_those_finish_who_use_it(
    connection: Connection, redis_server: EmbeddedRedis
) -> None:
    """A closed node lets replies under way arrive, and then closes its connections."""
    node = Node.at(redis_server.url, timeout_s=5, connections_max=2)
    with node.pipeline([("CLIENT", "SETNAME", "given-up"), ("ECHO", "last")]) as pipeline:
        node.close()
        assert pipeline.replies() == [b"OK", b"last"]

    wait_until(lambda: b"given-up" not in connection.ask(command("CLIENT", "LIST")))


def test_who_finds_no_connection_free_says_nothing_of_the_node(
    redis_server: EmbeddedRedis,
) -> None:
    """A call that finds all connections in use is an error, and the node stays healthy."""
    node = Node.at(redis_server.url, timeout_s=0.3, connections_max=1)
    with node.pipeline([("PING",)]) as held:
        with node.pipeline([("PING",)]) as other:
            (error,) = other.replies()
        assert held.replies() == [b"PONG"]

    assert stored_in(error) == "no"
    assert str(error) == "all 1 connections to Redis are in use"
    assert node.is_healthy
    node.close()


def test_a_node_that_answers_others_is_well_though_one_call_takes_too_long(
    redis_server: EmbeddedRedis,
) -> None:
    """A node stays healthy while it answers other calls, although one call times out."""
    node = Node.at(redis_server.url, timeout_s=0.5, connections_max=2)
    with ThreadPoolExecutor(1) as thread, node.pipeline([("BLPOP", "nothing-comes", 0)]) as slow:
        answers = thread.submit(slow.replies)
        while not answers.done():
            with node.pipeline([("PING",)]) as other:
                assert other.replies() == [b"PONG"]
    (error,) = answers.result()

    assert stored_in(error) == "unknown"
    assert node.is_healthy
    node.close()


def test_a_node_that_answers_nobody_must_show_that_it_is_well(proxy: Proxy) -> None:
    """A node that answers nobody during a call that times out is not healthy."""
    node = Node.at(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.5, connections_max=2)
    with node.pipeline([("PING",)]) as first:
        assert first.replies() == [b"PONG"]
    with node.pipeline([("BLPOP", "nothing-comes", 0)]) as slow:
        slow.replies()

    assert not node.is_healthy
    node.close()


def test_a_missing_group_is_an_error_of_its_own(connection: Connection) -> None:
    """A missing group raises GroupMissingError."""
    with pytest.raises(GroupMissingError):
        done(connection.ask(command("XPENDING", "nothing", "nobody")))


@pytest.mark.parametrize(
    "url",
    [
        *("redis://localhost:port", "redis://:s3/cret@h:6379", "redis://h/0?foo=1"),
        *("redis://h?db=x", "rediss://h?ssl_cert_reqs=x"),
    ],
)
def test_a_url_that_is_none_is_a_wrong_setting(url: str) -> None:
    """A wrong URL raises an error that names REDIS_URL and shows no password."""
    with pytest.raises(SettingsError, match="REDIS_URL cannot be used") as caught:
        Connection.open(url, timeout_s=1, connections_max=1)

    assert "s3" not in str(caught.value)


def test_without_descriptors_each_call_is_an_error_and_later_ones_are_answered(
    redis_server: EmbeddedRedis,
) -> None:
    """Without a free descriptor each call is an error; with one the next call is answered."""
    ended = run("descriptors.py", redis_server.url)

    assert ended.printed.split() == ["no", "no", "no", "PONG"]


def test_the_protocol_is_ours_whatever_the_url_says(redis_server: EmbeddedRedis) -> None:
    """Replies are those of RESP2, even if the URL asks for RESP3."""
    way = Connection.open(f"{redis_server.url}?protocol=3", timeout_s=1, connections_max=1)
    way.ask(command("HSET", "h", "a", "1"))

    assert way.ask(command("HGETALL", "h")) == [b"a", b"1"]
    way.close()
