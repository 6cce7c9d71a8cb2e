"""A slot that moves from one master to another while the cluster is in use.

Source:
    "Redis Cluster live resharding explained", https://redis.io/docs/latest/commands/cluster-setslot/
"""

from collections.abc import Iterator, Sequence

from redis.exceptions import ResponseError

from ops.local.cluster_node import ClusterNode
from ops.local.password import Password

MIGRATE_TIMEOUT_MS = 5000


def move(
    slot: int,
    source: ClusterNode,
    target: ClusterNode,
    masters: Sequence[ClusterNode],
    step: int,
    *,
    password: Password | None = None,
) -> Iterator[int]:
    """Move a slot step by step; it is half moved for as long as the caller stops between steps.

    Args:
        slot: Which.
        source: The master that has it.
        target: The master that gets it.
        masters: All masters.
        step: How many keys to move at a time.
        password: That of the target, if it has one.

    Yields:
        How many keys have been moved so far: 0 when both know that the slot is on its way, then
        after each step. Who does not go on after that leaves the slot to both.
    """
    target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
    source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
    credentials = ("AUTH", password.text) if password else ()
    moved = 0
    yield moved
    while keys := source.ask("CLUSTER GETKEYSINSLOT", slot, step):
        where = ("127.0.0.1", target.port, "", 0, MIGRATE_TIMEOUT_MS, *credentials)
        source.ask("MIGRATE", *where, "KEYS", *keys)
        moved += len(keys)
        yield moved
    # The target first: until it has the slot, nobody else may say that it has.
    for node in (target, source, *masters):
        _tell_owner(node, slot, target)


def _tell_owner(node: ClusterNode, slot: int, owner: ClusterNode) -> None:
    try:
        node.ask("CLUSTER SETSLOT", slot, "NODE", owner.id)
    except ResponseError as error:
        # A master that hears from the owner that it has lost its last slot becomes its replica.
        if "only with masters" not in str(error):
            raise
