"""What happens on the way: tokens rotate, a master dies, processes are replaced one by one."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from random import Random
from time import sleep

from metrics.tokens import new_token
from ops.lab.chaos.faults.nodes import Shards, kill_master
from ops.lab.service import Service
from ops.lab.system import System
from ops.local.redis_cluster import RedisCluster
from ops.local.waiting import wait_until

LOOKED_UP_S = 3.0
"""After so long senders use a new token: they read it once a second."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one kind.

    Attributes:
        service_file: What services read again on SIGHUP.
        sender_file: What senders read once a second.
    """

    service_file: Path
    sender_file: Path

    @classmethod
    def drawn(cls, folder: Path, kind: str) -> "Tokens":
        """Draw the first, and write it into both files."""
        tokens = cls(folder / f"{kind}-tokens", folder / f"{kind}-token")
        secret, line = new_token()
        _write(tokens.service_file, line)
        _write(tokens.sender_file, secret)
        return tokens

    def rotate(self, services: Sequence[Service]) -> None:
        """Add a token, let senders use it, take the old one out; each step at all services."""
        old, old_line = self.sender_file.read_text("utf-8"), self.service_file.read_text("utf-8")
        secret, line = new_token()
        _write(self.service_file, f"{old_line}\n{line}")
        _reload(services, secret, is_good=True)
        _write(self.sender_file, secret)
        sleep(LOOKED_UP_S)
        _write(self.service_file, line)
        _reload(services, old, is_good=False)


def _write(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(text, "utf-8")
    os.replace(beside, file)


def _reload(services: Sequence[Service], secret: str, *, is_good: bool) -> None:
    for service in services:
        service.send(signal.SIGHUP)
    for service in services:
        what = f"{service.label} reads its tokens again"
        wait_until(partial(_is_now, service, secret, is_good), what=what)


def _is_now(service: Service, secret: str, is_good: bool) -> bool:
    method, path = ("GET", "/keys") if service.name == "query" else ("POST", "/messages")
    answer = service.request(method, path, None, {"Authorization": f"Bearer {secret}"})
    return (answer.status != HTTPStatus.UNAUTHORIZED) is is_good


@dataclass(frozen=True, slots=True)
class Events:
    """What can be done to a system, and what is told of it.

    Attributes:
        system: It runs.
        cluster: Its Redis.
        write: Tokens to write with.
        read: Tokens to read with.
        random: Chooses who dies.
    """

    system: System
    cluster: RedisCluster
    write: Tokens
    read: Tokens
    random: Random

    def rotate(self) -> str:
        """Give everybody new tokens, and take the old ones from them."""
        self.write.rotate(self.system.collectors)
        self.read.rotate([self.system.query])
        return "tokens rotated"

    def fail_over(self) -> str:
        """Kill a master; it comes back as a replica of the one that took its place."""
        return kill_master(Shards(self.cluster, self.system.partitions), self.random)

    def restart(self) -> str:
        """Replace each process, one after the other."""
        for service in self.system.services:
            if status := service.stop():
                raise RuntimeError(f"{service.label} ended with {status} when asked to stop")
            self.system.start([service])
        return f"{len(self.system.services)} services replaced, one by one"
