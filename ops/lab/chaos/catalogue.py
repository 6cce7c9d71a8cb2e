"""The catalogue: all faults by their names, those of every Redis and those of one kind."""

import signal

from ops.lab.chaos.clients import Load
from ops.lab.chaos.fault import Fault
from ops.lab.chaos.faults.clock import PutClockOff, TurnHour
from ops.lab.chaos.faults.network import BreakConnections, DelayReplies
from ops.lab.chaos.faults.nodes import AddNode, FailOver, KillMaster, MoveSlot, PauseMaster, Shards
from ops.lab.chaos.faults.processes import Kill, KillHolding, Stall, Terminate
from ops.lab.chaos.faults.repeats import Behave
from ops.lab.chaos.faults.server import PauseRedis, RestartRedis
from ops.lab.chaos.faults.state import DestroyGroups, FillRedis, FlushScripts
from ops.lab.chaos.holding import Holdings
from ops.lab.chaos.one_redis import OneRedis
from ops.lab.chaos.six_nodes import SixNodes
from ops.lab.chaos.system import System

DELAYS_S = (0.1, 1.0, 2.0)
"""The collector waits 1.5 s for a reply: the last is too late."""


def faults_of(system: System, load: Load, pause_s: float) -> dict[str, Fault]:
    """Return all faults that a system can have.

    Args:
        system: What is broken.
        load: Its clients.
        pause_s: How long a Redis is stopped.
    """
    faults = _faults_of_processes(system, load)
    if isinstance(system.redis, OneRedis):
        faults |= _faults_of_one_redis(system.redis, pause_s)
    if isinstance(system.redis, SixNodes):
        faults |= _faults_of_a_cluster(Shards(system.redis.cluster, system.partitions))
    return faults


def _faults_of_processes(system: System, load: Load) -> dict[str, Fault]:
    holdings = Holdings(system.connection, system.partitions)
    return {
        "kill-collector": Kill(system.collectors),
        "kill-worker": Kill(system.workers),
        "kill-query": Kill([system.query]),
        "kill-worker-holding": KillHolding(system.workers, holdings),
        "stall-worker": Stall(system.workers, holdings),
        "stop-collector": Terminate(system.collectors),
        "stop-worker": Terminate(system.workers),
        "flush-scripts": FlushScripts(system),
        "destroy-groups": DestroyGroups(system),
        "fill-redis": FillRedis(system),
        "lose-answers": Behave(load, "losing every first answer"),
        "repeat-at-once": Behave(load, "to all collectors at once"),
        "clock-off": PutClockOff(system.clock),
        "turn-hour": TurnHour(system.clock),
    }


def _faults_of_one_redis(redis: OneRedis, pause_s: float) -> dict[str, Fault]:
    return {
        "restart-redis": RestartRedis(redis, signal.SIGTERM),
        "kill-redis": RestartRedis(redis, signal.SIGKILL),
        "pause-redis": PauseRedis(redis, pause_s),
        "cut-replies": BreakConnections(redis.proxy, ("cut in reply", "cut before reply")),
        "refuse-connections": BreakConnections(redis.proxy, ("refuse", "cut before request")),
        "delay-replies": DelayReplies(redis.proxy, DELAYS_S),
    }


def _faults_of_a_cluster(shards: Shards) -> dict[str, Fault]:
    return {
        "kill-master": KillMaster(shards),
        "pause-master": PauseMaster(shards),
        "failover": FailOver(shards),
        "move-slot": MoveSlot(shards),
        "add-node": AddNode(shards),
    }
