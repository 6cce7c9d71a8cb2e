"""Calls go to the node of their key: any node gives the map, and MOVED and ASK correct it."""

import pytest
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ResponseError,
    TryAgainError,
)

from metrics.connection import ATTEMPTS_MAX, Connection, Script, command
from metrics.errors import StorageUnavailableError
from metrics.topology import REFRESH_PAUSE_S, SLOTS, Topology
from tests.conftest import Clock
from tests.support.fake_nodes import ASKING, Cluster, FakeNode

KEY = "metrics:{7}:stream"
SLOT = key_slot(KEY.encode())
ALONE = ResponseError("This instance has cluster support disabled")


@pytest.fixture
def cluster(clock: Clock) -> Cluster:
    """Return a cluster that was not asked yet."""
    return Cluster(clock)


READ = command("XLEN", KEY)


def test_a_single_redis_gets_everything(clock: Clock) -> None:
    """A Redis that is no cluster gets every call, and is asked once what it is."""
    node = FakeNode(1, {})
    node.slots = ALONE
    connection = Connection(Topology(node, monotonic=clock))

    for _ in range(3):
        clock.seconds += 10
        assert connection.ask(READ) == "node:1"

    assert node.asked == 1


def test_a_redis_that_is_away_is_asked_again_what_it_is(clock: Clock, cluster: Cluster) -> None:
    """A Redis that was away is asked again what it is, and calls go to the right node then."""
    cluster.first.failing = True
    with pytest.raises(StorageUnavailableError):
        cluster.connection.ask(READ)
    cluster.first.failing = False
    clock.seconds += REFRESH_PAUSE_S

    assert cluster.connection.ask(READ) == "node:3"


def test_each_call_goes_to_the_node_of_its_key_and_replies_keep_their_order(
    cluster: Cluster,
) -> None:
    """Each call goes to the node of its key, and the replies have the order of the calls."""
    other = next(f"k{i}" for i in range(10_000) if key_slot(f"k{i}".encode()) < 100)
    keys = [KEY, other, "metrics:{7}:audit"]

    replies = cluster.connection.execute([command("XLEN", key) for key in keys])

    assert replies == ["node:3", "node:1", "node:3"]
    assert cluster.third.sent == [("XLEN", KEY), ("XLEN", "metrics:{7}:audit")]


def test_a_slot_that_nobody_has_is_unavailable_and_asked_for_again(
    clock: Clock, cluster: Cluster
) -> None:
    """A call for a slot without a node is not stored, and the map is asked for again."""
    cluster.tell({cluster.first: (0, 99)})

    (error,) = cluster.connection.execute([READ])

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "no"
    assert f"no node of the Redis Cluster has slot {SLOT}" in str(error)
    cluster.tell({cluster.second: (0, SLOTS - 1)})
    clock.seconds += REFRESH_PAUSE_S
    assert cluster.connection.ask(READ) == "node:2"


def test_a_call_follows_moved_and_the_next_goes_there_at_once(cluster: Cluster) -> None:
    """A call follows MOVED, even to a new node, and the next call goes there at once."""
    cluster.third.answers = [MovedError(f"{SLOT} :4")]

    assert cluster.connection.ask(READ) == "node:4"
    assert cluster.connection.ask(READ) == "node:4"

    assert len(cluster.third.sent) == 1


def test_moved_lets_the_map_be_asked_for_again(clock: Clock, cluster: Cluster) -> None:
    """After a MOVED the map is asked for again."""
    cluster.connection.ask(READ)
    cluster.third.answers = [MovedError(f"{SLOT} :4")]
    cluster.connection.ask(READ)
    cluster.tell({cluster.second: (0, SLOTS - 1)})
    clock.seconds += REFRESH_PAUSE_S

    assert cluster.connection.ask(READ) == "node:2"


def test_a_call_follows_ask_with_asking_and_for_this_time_only(cluster: Cluster) -> None:
    """A call follows ASK with ASKING, and the next call goes to the slot's owner."""
    cluster.third.answers = [AskError(f"{SLOT} :2")]

    assert cluster.connection.ask(READ) == "node:2"
    assert cluster.connection.ask(READ) == "node:3"

    assert cluster.second.sent == [ASKING, READ.arguments]


def test_a_call_whose_keys_are_just_being_moved_is_tried_again_for_a_while(
    cluster: Cluster,
) -> None:
    """A call is tried again after TRYAGAIN, at most ATTEMPTS_MAX times, and is not stored then."""
    cluster.third.answers = [TryAgainError("TRYAGAIN")] * 2
    assert cluster.connection.ask(READ) == "node:3"

    cluster.third.answers = [TryAgainError("TRYAGAIN")] * 100
    (error,) = cluster.connection.execute([READ])

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "no"
    assert len(cluster.third.sent) == 3 + ATTEMPTS_MAX


def test_nodes_that_send_a_call_to_each_other_do_not_keep_it_for_ever(cluster: Cluster) -> None:
    """A call that two nodes send to each other ends as an error with `stored: no`."""
    cluster.third.answers = [MovedError(f"{SLOT} :2")] * 100
    cluster.second.answers = [MovedError(f"{SLOT} :3")] * 100

    (error,) = cluster.connection.execute([READ])

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "no"


def test_a_script_that_a_node_does_not_know_is_loaded_there(cluster: Cluster) -> None:
    """A script is loaded on the node that lacks it, and ASKING is sent right before its call."""
    script = Script("return 1", "sha")
    cluster.third.answers = [AskError(f"{SLOT} :2")]
    cluster.second.answers = [NoScriptError("NOSCRIPT")]

    assert cluster.connection.ask(script.call([KEY], [])) == "node:2"

    call = ("EVALSHA", "sha", 1, KEY)
    assert cluster.second.sent == [ASKING, call, ("SCRIPT", "LOAD", "return 1"), ASKING, call]


def test_a_cluster_that_is_down_did_nothing_and_is_asked_again(
    clock: Clock, cluster: Cluster
) -> None:
    """A call to a cluster that is down is not stored, and the map is asked for again."""
    cluster.third.answers = [ClusterDownError("CLUSTERDOWN Hash slot not served")]

    (error,) = cluster.connection.execute([READ])

    assert isinstance(error, StorageUnavailableError)
    assert error.stored == "no"
    cluster.tell({cluster.second: (0, SLOTS - 1)})
    clock.seconds += REFRESH_PAUSE_S
    assert cluster.connection.ask(READ) == "node:2"


def test_the_others_answer_while_one_node_is_away(clock: Clock, cluster: Cluster) -> None:
    """While one node is away the others answer, and give the map with the slots' new owner."""
    other = next(f"k{i}" for i in range(10_000) if key_slot(f"k{i}".encode()) < 100)
    cluster.connection.ask(READ)
    cluster.third.failing = True

    error, reply = cluster.connection.execute([READ, command("GET", other)])

    assert isinstance(error, StorageUnavailableError)
    assert reply == "node:1"
    cluster.tell({cluster.first: (0, 199), cluster.added: (200, SLOTS - 1)})
    clock.seconds += REFRESH_PAUSE_S
    assert cluster.connection.ask(READ) == "node:4"


def test_the_node_that_was_named_at_first_may_go(clock: Clock, cluster: Cluster) -> None:
    """Any node gives the map if the first one is away."""
    cluster.connection.ask(READ)
    cluster.first.failing = True
    cluster.tell({cluster.second: (0, SLOTS - 1)})
    clock.seconds += REFRESH_PAUSE_S

    assert cluster.connection.ask(READ) == "node:2"


def test_between_two_questions_some_time_passes(clock: Clock, cluster: Cluster) -> None:
    """While a node is away the map is asked for at most once in REFRESH_PAUSE_S."""
    cluster.connection.ask(READ)
    cluster.third.failing = True
    before = cluster.first.asked
    for _ in range(100):
        clock.seconds += REFRESH_PAUSE_S / 10
        cluster.connection.execute([READ])

    assert cluster.first.asked - before <= 11


def test_a_call_without_a_key_goes_to_a_node_that_is_well(cluster: Cluster) -> None:
    """A call without a key goes to a healthy node."""
    cluster.connection.ask(READ)
    cluster.first.failing = True

    assert cluster.connection.ask(command("PING")) in ("node:2", "node:3")


def test_replicas_are_waited_for_once_on_each_node(cluster: Cluster) -> None:
    """WAIT is sent once to each node, after the last of its writes."""
    keys = [f"metrics:{{{i}}}:stream" for i in range(16)]
    cluster.tell({cluster.first: (0, 8000), cluster.second: (8001, SLOTS - 1)})
    for node in (cluster.first, cluster.second):
        node.answers = []
        node.name = 1  # type: ignore[assignment]

    replies = cluster.connection.execute([command("SET", key, 1) for key in keys], replicas=1)

    assert replies == [1] * 16
    for node in (cluster.first, cluster.second):
        assert [sent[0] for sent in node.sent].count("WAIT") == 1
        assert node.sent[-1][0] == "WAIT"


def test_too_few_replicas_of_one_node_leave_only_its_writes_unknown(cluster: Cluster) -> None:
    """Too few replicas of one node make only its own writes unknown."""
    cluster.tell({cluster.first: (0, SLOT - 1), cluster.second: (SLOT, SLOTS - 1)})
    other = next(f"k{i}" for i in range(10_000) if key_slot(f"k{i}".encode()) < SLOT)
    cluster.first.answers = ["OK", 1]
    cluster.second.answers = ["OK", 0]

    confirmed, unconfirmed = cluster.connection.execute(
        [command("SET", other, 1), command("SET", KEY, 1)], replicas=1
    )

    assert confirmed == "OK"
    assert isinstance(unconfirmed, StorageUnavailableError)
    assert unconfirmed.stored == "unknown"
