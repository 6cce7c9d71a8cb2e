"""The way to Redis, for what looks after the pipeline itself."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import click

from metrics.cli.failures import NoAnswerError
from metrics.connection import Connection, command
from metrics.keyspace import LAYOUT
from metrics.settings import Settings

TIMEOUT_S = 5.0

_EXAMPLE = (
    "For the Redis of ops/run: export REDIS_URL=redis://:$(cat data/redis.password)@127.0.0.1:8300"
)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What there is in Redis.

    Attributes:
        connection: The way to it.
        settings: Of this process, as the services read theirs.
        layout: The fields of ``metrics:layout``; empty if nothing has begun there yet.
    """

    connection: Connection
    settings: Settings
    layout: Mapping[str, str]

    @property
    def partitions(self) -> range:
        """The numbers of the partitions: as Redis has them, whatever the settings say.

        Raises:
            NoAnswerError: If it has none.
        """
        text = self.layout.get("partitions", "")
        if not text.isdecimal():
            raise NoAnswerError(
                f"there is no {LAYOUT} in this Redis: no collector or worker has begun there yet, "
                "or REDIS_URL is that of another"
            )
        return range(int(text))


@contextmanager
def opened() -> Iterator[Pipeline]:
    """Connect to the Redis of REDIS_URL.

    Raises:
        SettingsError: If a setting cannot be used.
        StorageUnavailableError: If Redis does not answer.
    """
    environ = os.environ
    if not environ.get("REDIS_URL", "").strip():
        raise click.UsageError(
            f"REDIS_URL is not set, and this command looks into Redis. {_EXAMPLE}"
        )
    settings = Settings.from_env(environ)
    connection = Connection.open(
        settings.redis_url, timeout_s=TIMEOUT_S, connections_max=4, tls=settings.redis_tls
    )
    try:
        items = [
            item.decode(errors="replace") for item in connection.ask(command("HGETALL", LAYOUT))
        ]
        layout = dict(zip(items[::2], items[1::2], strict=True))
        yield Pipeline(connection, settings, layout)
    finally:
        connection.close()
