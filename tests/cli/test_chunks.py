"""Chunks have the same names whenever a file is read, and hold all of it."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.cli.importing.chunks import (
    LINE_BYTES_MAX,
    Chunk,
    known_chunk,
    name_of_beginning,
    next_chunk,
    without_open_line,
)

BEGINNING = name_of_beginning("csv")

files = st.lists(st.sampled_from([b"a,1\n", b"bb,22\n", b"\n", b"c"]), max_size=12).map(b"".join)
sizes = st.integers(1, 12)


def chunks_of(data: bytes, size: int, after: str = BEGINNING) -> list[Chunk]:
    """Return all chunks of a file."""
    found: list[Chunk] = []
    at = 0
    while chunk := next_chunk(BytesIO(data), after, at, size):
        found.append(chunk)
        after, at = chunk.name, chunk.end
    return found


@given(files, sizes)
def test_chunks_are_the_file_in_whole_lines(data: bytes, size: int) -> None:
    """The chunks of a file follow on each other, hold whole lines, and are all of it."""
    chunks = chunks_of(data, size)

    assert b"".join(chunk.data for chunk in chunks) == data
    assert all(chunk.data.endswith(b"\n") for chunk in chunks[:-1])
    assert [chunk.start for chunk in chunks[1:]] == [chunk.end for chunk in chunks[:-1]]
    assert chunks == chunks_of(data, size)
    assert len({chunk.name for chunk in chunks}) == len(chunks)


@given(files, sizes, st.binary(min_size=1, max_size=3))
def test_the_name_is_of_the_content_and_its_place(data: bytes, size: int, more: bytes) -> None:
    """Other bytes before a chunk, or other options, give it another name."""
    names = {chunk.name for chunk in chunks_of(data, size)}

    assert names.isdisjoint(chunk.name for chunk in chunks_of(more + data, size)[1:])
    assert names.isdisjoint(chunk.name for chunk in chunks_of(data, size, name_of_beginning("x")))


@given(files, files, sizes)
def test_what_has_grown_is_known_as_far_as_it_was(data: bytes, more: bytes, size: int) -> None:
    """The chunks of a file are found again in what it has become, whatever came after."""
    after, at = BEGINNING, 0
    for chunk in chunks_of(data, size):
        ends = [(chunk.end, chunk.name), (chunk.end + 1, "of another file")]
        assert known_chunk(BytesIO(data + more), after, at, ends) == chunk
        after, at = chunk.name, chunk.end


def test_what_differs_is_not_known() -> None:
    """A chunk is not known where the file has other bytes, or ends before it."""
    (chunk,) = chunks_of(b"a,1\nb,2\n", 100)
    ends = [(chunk.end, chunk.name)]

    assert known_chunk(BytesIO(b"a,1\nb,3\n"), BEGINNING, 0, ends) is None
    assert known_chunk(BytesIO(b"a,1\n"), BEGINNING, 0, ends) is None


def test_a_line_that_is_being_written_is_left() -> None:
    """A last line without an end is left out; what remains is a chunk of its own name."""
    (chunk,) = chunks_of(b"a,1\nb,2", 100)

    assert without_open_line(chunk) == chunks_of(b"a,1\n", 100)[0]
    assert without_open_line(chunks_of(b"b,2", 100)[0]) is None


def test_a_line_without_end_is_refused() -> None:
    """A file that is one endless line is refused, and not read whole."""
    with pytest.raises(ValueError, match="bytes"):
        next_chunk(BytesIO(b"x" * (LINE_BYTES_MAX + 10)), BEGINNING, 0, 1)
