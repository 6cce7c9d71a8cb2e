"""The comparison of the ledger with all that Redis and the query service tell."""

import http.client
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import sleep

from metrics.aggregate import Aggregate
from metrics.connection import Connection, command, done
from metrics.entry import read_key_hour
from metrics.errors import StorageUnsoundError
from metrics.hours import Hour
from metrics.keyspace import PartitionNames
from metrics.merged import merged
from ops.lab.chaos.system import CLAIM_S, ChaosSystem
from ops.lab.chaos.verdict import Finding, Say
from ops.lab.ledger import NOTHING, Counted, Ledger, Message
from ops.lab.system import path_of

HASHES_AT_ONCE = 500
ASKED_MAX = 50
"""Key-hours that the query service is asked for."""

DRAIN_TIMEOUT_S = 60.0
CLAIM_ROUND_S = 1.5 * CLAIM_S
"""After this long a worker has looked for everything that it can claim."""


@dataclass(frozen=True, slots=True)
class Hash:
    """What the hash of a key-hour holds."""

    key: str
    hour: Hour
    aggregate: Aggregate


def read_hashes(connection: Connection, partitions: Sequence[int]) -> list[Hash]:
    """Return the hashes of all key-hours.

    Raises:
        MetricsError: If they cannot be read, or one is not sound.
    """
    found = []
    for number in partitions:
        prefix = PartitionNames(number).hour("")
        pattern = prefix.replace("{", "\\{").replace("}", "\\}") + "*"
        names = connection.ask(command("KEYS", pattern, key=prefix))
        for first in range(0, len(names), HASHES_AT_ONCE):
            texts = [name.decode() for name in names[first : first + HASHES_AT_ONCE]]
            replies = connection.execute([command("HGETALL", text) for text in texts])
            for text, reply in zip(texts, replies, strict=True):
                found.append(_hash(text, prefix, done(reply)))
    return found


def _hash(name: str, prefix: str, fields: list[bytes]) -> Hash:
    key, hour = read_key_hour(name.removeprefix(prefix).encode())
    try:
        aggregate = merged([fields])
    except StorageUnsoundError as error:
        raise StorageUnsoundError(f"{name}: {error}") from error
    if not aggregate.count:
        raise StorageUnsoundError(f"{name}: it has no messages")
    return Hash(key, hour, aggregate)


def counted_by_key(hashes: Sequence[Hash]) -> dict[str, Counted]:
    """Return what each key has, all its hours together."""
    found: dict[str, Counted] = {}
    for each in hashes:
        so_far = found.get(each.key, NOTHING)
        found[each.key] = Counted(
            so_far.sum + each.aggregate.sum, so_far.count + each.aggregate.count
        )
    return found


def differences(ledger: Ledger, hashes: Sequence[Hash], when: str) -> list[Finding]:
    """Return each message that is not counted as often as it must be."""
    return [Finding(f"{when}: {each}", each.batch) for each in ledger.check(counted_by_key(hashes))]


def unlike_their_values(hashes: Sequence[Hash]) -> Iterator[Finding]:
    """Yield each key-hour whose numbers are not those of the values that its sum tells of."""
    for each in hashes:
        aggregate = each.aggregate
        try:
            times = Counted(aggregate.sum, aggregate.count).times()
        except ValueError as error:
            yield Finding(f"{each.key} in {each.hour}: {error}")
            continue
        values = [Message(each.key, number).value for number in times for _ in range(times[number])]
        # Which of them came late is the affair of the clocks, one of which is off.
        if replace(Aggregate.of(values), late=aggregate.late) != aggregate:
            yield Finding(f"{each.key} in {each.hour}: {aggregate} is not that of {values}")


def changes(before: Sequence[Hash], after: Sequence[Hash], when: str) -> list[Finding]:
    """Return each key-hour that holds something else than it did."""
    held = {(each.key, each.hour): each.aggregate for each in before}
    holds = {(each.key, each.hour): each.aggregate for each in after}
    return [
        Finding(f"{when}: {key} in {hour} has changed: {held.get((key, hour))} was there before")
        for key, hour in sorted(held.keys() | holds.keys())
        if held.get((key, hour)) != holds.get((key, hour))
    ]


def wrong_books(system: ChaosSystem, when: str) -> Iterator[Finding]:
    """Yield what is wrong with the audit, as Redis and as the query service has them."""
    for audit in system.audit():
        if not audit.balance or audit.dead or audit.length:
            yield Finding(f"{when}: the audit is not that of an empty backlog: {audit}")
    answer = system.query.get("/audit")
    if answer.status != http.client.OK or answer.json["balance"] is not True:
        yield Finding(f"{when}: GET /audit answers {answer.status} {answer.body.decode()}")


def wrong_answers(system: ChaosSystem, hashes: Sequence[Hash], when: str) -> Iterator[Finding]:
    """Yield answers of the query service that differ from the hashes, for some of them."""
    step = len(hashes) // ASKED_MAX + 1
    for each in hashes[::step]:
        path = f"/{each.key}/sum/{path_of(each.hour)}"
        answer = system.query.get(path)
        if answer.status != http.client.OK or answer.json["value"] != each.aggregate.sum:
            yield Finding(f"{when}: GET {path} answers {answer.status} {answer.body.decode()}")


class Comparison:
    """Compares a ledger with the hashes, the audit and the query service, more than once.

    Args:
        system: What has come to rest.
        ledger: What was sent to it.
        say: Shows how it goes.

    Attributes:
        counted: Messages in the hashes.
    """

    def __init__(self, system: ChaosSystem, ledger: Ledger, say: Say) -> None:
        self._system = system
        self._ledger = ledger
        self._say = say
        self.counted = 0

    def findings(self) -> Iterator[Finding]:
        """Yield all differences; if there are none, those after restarts as well."""
        hashes = read_hashes(self._system.connection, self._system.partitions)
        self.counted = sum(each.aggregate.count for each in hashes)
        found = [
            *differences(self._ledger, hashes, "after the faults"),
            *unlike_their_values(hashes),
            *wrong_books(self._system, "after the faults"),
            *wrong_answers(self._system, hashes, "after the faults"),
        ]
        yield from found or self._after_restarts(hashes)

    def _after_restarts(self, hashes: Sequence[Hash]) -> Iterator[Finding]:
        """Look for what fresh workers may find, and what may come back when all is restarted."""
        self._say("draining a second time, with fresh workers")
        self._system.replace_workers()
        yield from self._changes_since(hashes, "after a second drain")
        self._say("restarting everything; Redis was killed")
        self._system.restart()
        yield from self._changes_since(hashes, "after everything was restarted")
        # What is torn off the end of the append-only file shows at the restart after the next.
        self._say("restarting Redis")
        self._system.redis.restart(signal.SIGTERM)
        yield from self._changes_since(hashes, "after Redis was restarted")

    def _changes_since(self, hashes: Sequence[Hash], when: str) -> Iterator[Finding]:
        self._system.wait_until_ready()
        sleep(CLAIM_ROUND_S)
        self._system.drain(DRAIN_TIMEOUT_S)
        now = read_hashes(self._system.connection, self._system.partitions)
        yield from changes(hashes, now, when)
        yield from wrong_books(self._system, when)
