"""``metrics:layout``: what the numbers in Redis were made with, written once, checked by all."""

from metrics.connection import Connection, command, done
from metrics.errors import LayoutError
from metrics.histogram import RELATIVE_ERROR
from metrics.keyspace import LAYOUT

SCHEMA_VERSION = 1


class Layout:
    """What all processes on one Redis must agree on.

    Attributes:
        fields: As in the hash ``metrics:layout``.
    """

    def __init__(self, *, partitions: int) -> None:
        self.fields = {
            "partitions": str(partitions),
            "histogram_accuracy": str(RELATIVE_ERROR),
            "schema_version": str(SCHEMA_VERSION),
        }
        self._agreed = False

    def agree(self, connection: Connection) -> None:
        """Write the layout down if it is the first, else compare; only once it is agreed, no more.

        Raises:
            LayoutError: If Redis holds numbers of another layout, or is a cluster.
            StorageUnavailableError: If Redis is away; to be called again.
        """
        if self._agreed:
            return
        if b"cluster_enabled:1" in connection.ask(command("INFO", "cluster")):
            raise LayoutError("REDIS_URL names a Redis Cluster; it must be a single Redis")
        replies = connection.execute(
            [command("HSETNX", LAYOUT, name, value) for name, value in self.fields.items()]
            + [command("HMGET", LAYOUT, *self.fields)]
        )
        found = [done(reply) for reply in replies][-1]
        differences = [
            f"{name} is {value} here and {kept.decode()} in Redis"
            for (name, value), kept in zip(self.fields.items(), found, strict=True)
            if kept.decode() != value
        ]
        if differences:
            raise LayoutError(
                f"{LAYOUT} differs: {'; '.join(differences)}. Set what Redis has "
                "(METRICS_PARTITIONS for partitions), or use another Redis."
            )
        self._agreed = True
