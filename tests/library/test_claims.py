"""What has been pending for too long is claimed; consumers that are gone are removed."""

import pytest

from metrics.backlog import NEW, START
from metrics.connection import Connection, command
from metrics.errors import GroupMissingError
from metrics.keyspace import GROUP
from tests.library.test_backlog import STREAM, backlog_of, commit, read
from tests.support.streams import (
    append,
    batch,
)

pytestmark = pytest.mark.every_server


def test_a_group_that_is_missing_is_created_over_the_whole_backlog(connection: Connection) -> None:
    """A missing group is created again from the beginning of the stream."""
    backlog = backlog_of(connection)
    append(connection, batch())
    connection.ask(command("XGROUP", "DESTROY", STREAM, GROUP))
    assert isinstance(backlog.read({0: NEW}, 100)[0], GroupMissingError)

    backlog.create_groups([0])
    backlog.create_groups([0])

    assert len(read(backlog)) == 1


def test_claims_come_page_by_page(connection: Connection) -> None:
    """Entries of a dead worker are claimed in pages of a limited size."""
    for _ in range(7):
        append(connection, batch())
    read(backlog_of(connection, "dead"))
    heir = backlog_of(connection, "heir")

    cursor, sizes = START, []
    while not sizes or cursor != START:
        page = heir.claim({0: cursor}, 3, 0)[0]
        cursor = page.cursor
        sizes.append(len(page.entries))

    assert sum(sizes) == 7
    assert max(sizes) <= 3


def test_what_is_not_idle_for_long_enough_is_not_claimed(connection: Connection) -> None:
    """An entry that has not been pending for long enough is not claimed."""
    append(connection, batch())
    read(backlog_of(connection, "busy"))

    assert list(backlog_of(connection, "heir").claim({0: START}, 3, 60_000)[0].entries) == []


def test_only_idle_consumers_with_nothing_pending_are_dismissed(connection: Connection) -> None:
    """Only consumers that are idle and have nothing pending are deleted."""
    idler = backlog_of(connection, "idler")
    append(connection, batch())
    commit(idler, read(idler))
    append(connection, batch())
    read(backlog_of(connection, "holder"))
    backlog = backlog_of(connection, "busy")

    backlog.delete_idle_consumers([0], 3_600_000)
    names = [info[1] for info in connection.ask(command("XINFO", "CONSUMERS", STREAM, GROUP))]
    assert b"idler" in names
    backlog.delete_idle_consumers([0], 0)

    names = [info[1] for info in connection.ask(command("XINFO", "CONSUMERS", STREAM, GROUP))]
    assert names == [b"holder"]
