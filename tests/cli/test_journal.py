"""The journal remembers chunks through crashes, for one import at a time."""

from dataclasses import replace
from pathlib import Path

import pytest

from metrics.cli.importing.journal import DONE, SENT, UNSENT, Journal, JournalError, Record

RECORD = Record(SENT, 12.5, "http://127.0.0.1:8000", "b", after="a", start=0, end=7)


def records_in(path: Path, after: str = "a") -> list[Record]:
    """Return what a journal remembers of the chunks after one."""
    with Journal(path) as journal:
        return journal.after(after)


def test_the_latest_state_of_a_chunk_counts(tmp_path: Path) -> None:
    """A journal remembers the latest state of each chunk; one that was not sent is forgotten."""
    path = tmp_path / "journal"
    other = replace(RECORD, chunk="c", end=9)
    with Journal(path) as journal:
        journal.note(RECORD, other)
        journal.note(replace(RECORD, state=DONE))
        assert journal.after("a") == [replace(RECORD, state=DONE), other]
        journal.note(replace(other, state=UNSENT))

    assert records_in(path) == [replace(RECORD, state=DONE)]
    assert records_in(path, "b") == []


def test_a_torn_line_is_as_if_it_had_not_been_written(tmp_path: Path) -> None:
    """A last line without an end, as after a crash, is cut off: its chunk was not sent."""
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.note(RECORD)
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(whole + whole[:length])

        assert records_in(path) == [RECORD]
        assert path.read_bytes() == whole


def test_another_file_is_no_journal(tmp_path: Path) -> None:
    """A file that is no journal is refused by the line, and stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_text('{"state": "sent"}\nhello\n')

    with pytest.raises(JournalError, match="line 1 of"):
        Journal(path)
    assert path.read_text() == '{"state": "sent"}\nhello\n'


def test_two_imports_do_not_share_a_journal(tmp_path: Path) -> None:
    """A journal that is being used is refused to another."""
    path = tmp_path / "journal"
    with Journal(path), pytest.raises(JournalError, match="another import"):
        Journal(path)
    assert records_in(path) == []


def test_without_a_journal_nothing_is_imported(tmp_path: Path) -> None:
    """Where the journal cannot be written, the text says what names another place."""
    with pytest.raises(JournalError, match="--journal"):
        Journal(tmp_path / "no such folder" / "journal")
