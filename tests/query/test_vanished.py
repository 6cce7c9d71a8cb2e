"""What expires in Redis while a question is answered is as if it had been gone before."""

from collections.abc import Sequence

import pytest

from metrics import key_hours
from metrics.connection import Call, Connection, command
from metrics.keyspace import PartitionNames, partition_of
from metrics.node import Reply
from tests.query.test_query import client_of
from tests.support.clusters import PARTITIONS
from tests.support.fleets import fill

KEY = "checkout.a"
PARTITION = PartitionNames(partition_of(KEY, PARTITIONS))
KEY_HOUR = PARTITION.hour(f"2026-11-23T14:{KEY}")

QUESTIONS = (
    f"/{KEY}/histogram/2026-11-23/14",
    f"/{KEY}/summary/2026-11-23",
    "/checkout.*/median/2026-11-23/14",
    "/checkout.*/keys/2026-11-23T14",
    "/keys",
    "/export/prometheus",
)


class Expiring(Connection):
    """A connection behind which a key-hour and its key expire before one command.

    Attributes:
        before: The name of that command; empty for none, and after the first.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection._topology)
        self.before = ""

    def execute(self, calls: Sequence[Call], *, replicas: int = 0) -> list[Reply]:
        """Send the calls one by one."""
        replies = []
        for call in calls:
            is_here = PARTITION.keys in call.arguments or KEY_HOUR in call.arguments
            if is_here and call.arguments[0] == self.before:
                self.before = ""
                super().execute([command("DEL", PARTITION.keys), command("DEL", KEY_HOUR)])
            replies += super().execute([call], replicas=replicas)
        return replies


@pytest.mark.one_server
@pytest.mark.parametrize(
    "before", ["ZCARD", "ZRANGE", "ZCOUNT", "ZSCAN", "ZMSCORE", "HLEN", "HGETALL", "HMGET", "HSCAN"]
)
def test_what_expires_between_two_commands_is_gone(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """A key that expires before any command of a question is a 404, or left out."""
    if before in ("HMGET", "HSCAN"):
        # In pieces, as a hash of many fields is read.
        monkeypatch.setattr(key_hours, "WIDE_FIELDS", 1)
    expiring = Expiring(connection)
    client = client_of(expiring)
    expired = False
    for path in QUESTIONS:
        fill(connection, {KEY: [1.0, 5.0, 9.0]})
        expiring.before = ""
        if before != "ZSCAN":
            # Known keys are compared with what is there; unknown ones are read.
            client.simulate_get("/keys")
        expiring.before = before

        result = client.simulate_get(path)

        assert result.status_code in (200, 404), f"{path}: {result.text}"
        if not expiring.before:
            expired = True
            assert '"value":' not in result.text.replace('"value":null', "")
            assert f'key="{KEY}"' not in result.text
    assert expired
