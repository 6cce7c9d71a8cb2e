"""The way to Redis: calls go out together, each comes back as a reply or as an error of ours.

One Redis and a Redis Cluster are spoken to alike. A call goes to the node that has its key, all
nodes get theirs at once, and an error of one concerns its calls alone.

Nothing is ever repeated here that may have been done: a call whose reply is lost says so
(``stored="unknown"``). Only what a node certainly did not do is sent again: to the node that it
names (MOVED, ASK), a little later (TRYAGAIN), or after a script that it does not know yet.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import resources
from time import sleep
from typing import Self

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    TryAgainError,
)

from metrics.errors import MetricsError, StorageUnavailableError
from metrics.node import Argument, Command, Node, Reply
from metrics.redis_errors import ours
from metrics.tls import TlsFiles
from metrics.topology import Topology

WAIT_MS = 700
"""How long replicas may take to have what was written. A call whose script must be loaded first
waits twice, and a collector answers within two seconds."""

ATTEMPTS_MAX = 6
"""How often a call may be sent that no node did: a slot that moves needs two or three."""

TRY_AGAIN_S = 0.02
"""Pause before a call is sent again whose keys are just being moved."""


_INCLUDE = re.compile(r"^-- include (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script of ours; its head lists KEYS, ARGV and the result."""

    text: str
    sha1: str

    @classmethod
    @cache
    def named(cls, name: str) -> Self:
        """Return the script in ``scripts/<name>.lua``.

        A line ``-- include <piece>`` in it stands for ``scripts/pieces/<piece>.lua``.
        """
        scripts = resources.files("metrics").joinpath("scripts")
        text = _INCLUDE.sub(
            lambda found: scripts.joinpath("pieces", f"{found[1]}.lua").read_text("utf-8"),
            scripts.joinpath(f"{name}.lua").read_text("utf-8"),
        )
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> "Call":
        """Return the call that runs this script; its keys are all in one slot."""
        return Call(("EVALSHA", self.sha1, len(keys), *keys, *arguments), keys[0], self)


@dataclass(frozen=True, slots=True)
class Call:
    """One command to be sent.

    Attributes:
        arguments: The command and its arguments.
        key: A key that says which node to send it to; None if any will do.
        script: The script that it runs, if it runs one.
    """

    arguments: Command
    key: str | None = None
    script: Script | None = None


def command(*arguments: Argument, key: str | None = None) -> Call:
    """Return the call of a plain command; its key is the first argument, if not named."""
    if key is None and len(arguments) > 1:
        key = str(arguments[1])
    return Call(arguments, key)


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a call goes next, and what must be said there before it."""

    node: Node
    asking: bool = False
    loading: bool = False


class Connection:
    """The way to one Redis or to a Redis Cluster. Safe for threads and greenlets.

    Attributes:
        on_error: Is called with each error that stands in the place of a reply.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self.on_error: Callable[[MetricsError], object] = _ignore

    @classmethod
    def open(
        cls, url: str, *, timeout_s: float, connections_max: int, tls: TlsFiles | None = None
    ) -> Self:
        """Return the way to the Redis at ``url``, or to the cluster that it is a node of.

        Connects when first used.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            timeout_s: How long a connection, and then each reply, may take.
            connections_max: How many calls may be under way at once to a node; more wait.
            tls: Certificates for ``rediss://``, at every node of a cluster.

        Raises:
            SettingsError: If the URL is none, or a certificate cannot be used.
        """
        seed = Node.at(url, timeout_s=timeout_s, connections_max=connections_max, tls=tls)
        return cls(Topology(seed))

    def execute(self, calls: Sequence[Call], *, replicas: int = 0) -> list[Reply | MetricsError]:
        """Send all calls, to each node in one go, and wait for their replies.

        Args:
            calls: What to send.
            replicas: How many replicas of its node must have what a call writes.

        Returns:
            For each call what Redis replied, or its error.
        """
        self._topology.refresh_if_stale()
        replies: list[Reply] = [None] * len(calls)
        routes = dict(self._routes(calls, range(len(calls)), replies))
        for _ in range(ATTEMPTS_MAX):
            self._send(calls, routes, replicas, replies)
            failed = {i: route for i, route in routes.items() if isinstance(replies[i], RedisError)}
            routes = self._routes_again(calls, failed, replies)
            if not routes:
                break
        found = [ours(reply, call.key) for reply, call in zip(replies, calls, strict=True)]
        for each in found:
            if isinstance(each, MetricsError):
                self.on_error(each)
        return found

    def ask(self, call: Call) -> Reply:
        """Send one call and return its reply.

        Raises:
            MetricsError: Whatever error it had.
        """
        return done(self.execute([call])[0])

    def node_name_of(self, key: str) -> str:
        """Return the name of the node that a key is on, as far as is known; it may change."""
        try:
            return self._topology.node_of(key).name
        except StorageUnavailableError:
            return ""

    def close(self) -> None:
        """Close all connections."""
        self._topology.close()

    def _routes(
        self, calls: Sequence[Call], indexes: Sequence[int], replies: list[Reply]
    ) -> Iterator[tuple[int, _Route]]:
        for i in indexes:
            try:
                yield i, _Route(self._topology.node_of(calls[i].key))
            except StorageUnavailableError as error:
                replies[i] = error

    def _routes_again(
        self, calls: Sequence[Call], routes: Mapping[int, _Route], replies: list[Reply]
    ) -> dict[int, _Route]:
        """Return the routes of the calls that were certainly not done, and may be done now."""
        again: dict[int, _Route] = {}
        trying = []
        for i, route in routes.items():
            reply = replies[i]
            if isinstance(reply, MovedError):
                address = (reply.host, reply.port)
                again[i] = _Route(self._topology.update_slot(reply.slot_id, address, route.node))
            elif isinstance(reply, AskError):
                node = self._topology.node_at((reply.host, reply.port), route.node)
                again[i] = _Route(node, asking=True)
            elif isinstance(reply, NoScriptError) and not route.loading:
                again[i] = _Route(route.node, route.asking, loading=True)
            elif isinstance(reply, TryAgainError):
                trying.append(i)
            elif isinstance(reply, ClusterDownError):
                self._topology.invalidate()
        if trying:
            sleep(TRY_AGAIN_S)
            again.update(self._routes(calls, trying, replies))
        return again

    def _send(
        self,
        calls: Sequence[Call],
        routes: Mapping[int, _Route],
        replicas: int,
        replies: list[Reply],
    ) -> None:
        by_node: dict[Node, list[int]] = {}
        for i, route in routes.items():
            by_node.setdefault(route.node, []).append(i)
        with ExitStack() as stack:
            pipelines = []
            for node, indexes in by_node.items():
                commands, places = _commands(calls, routes, indexes, replicas)
                pipeline = stack.enter_context(node.pipeline(commands))
                pipelines.append((pipeline, indexes, places))
            for pipeline, indexes, places in pipelines:
                found = pipeline.replies()
                confirmed = _confirmed(found[-1], replicas)
                for i, place in zip(indexes, places, strict=True):
                    reply = found[place]
                    replies[i] = reply if isinstance(reply, Exception) else confirmed or reply


def _commands(
    calls: Sequence[Call], routes: Mapping[int, _Route], indexes: Sequence[int], replicas: int
) -> tuple[list[Command], list[int]]:
    """Return what to send to a node, and the place in it of each call."""
    scripts = {calls[i].script for i in indexes if routes[i].loading}
    commands: list[Command] = [("SCRIPT", "LOAD", script.text) for script in scripts if script]
    places = []
    for i in indexes:
        if routes[i].asking:
            commands.append(("ASKING",))
        places.append(len(commands))
        commands.append(calls[i].arguments)
    if replicas:
        # On the connection of the writes: these are what WAIT counts the replicas of.
        commands.append(("WAIT", replicas, WAIT_MS))
    return commands, places


def _confirmed(count: Reply, replicas: int) -> StorageUnavailableError | None:
    """Return what is wrong if too few replicas have it; WAIT replies when its time is up, too."""
    if not replicas or (isinstance(count, int) and count >= replicas):
        return None
    return StorageUnavailableError(
        f"fewer than {replicas} replicas have it in time: {count}", stored="unknown"
    )


def _ignore(_: MetricsError) -> None:
    pass


def done(reply: Reply | MetricsError) -> Reply:
    """Return a reply, or raise the error that stands in its place.

    Raises:
        MetricsError: That error.
    """
    if isinstance(reply, MetricsError):
        raise reply
    return reply
