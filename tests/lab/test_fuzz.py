"""The readers keep their promises, and the fuzzer misses nothing that breaks one."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ops.lab.fuzz import __main__ as command
from ops.lab.fuzz import parts
from ops.lab.fuzz import target as target_module
from ops.lab.fuzz.parts import Properties, Reader
from ops.lab.fuzz.target import BrokenPromiseError, Pause, Target, Turns, require, try_input
from ops.lab.fuzz.targets import TARGETS

CHANGED = 40
"""How many changed inputs of each reader are tried here; ``ops/fuzz`` tries as many as it can."""


def changed(seeds: list[bytes], number: int) -> bytes:
    """Return a seed with a byte or two of it replaced, doubled or left out."""
    random = Random(number)
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(data) + 1)
        piece = random.choice([b"", b"9", b"\xff", b"-", b"\n", b"0" * 30, bytes(data[place:][:9])])
        data[place : place + random.randint(0, 2)] = piece
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_keeps_its_promises(name: str) -> None:
    """A reader refuses an input with a reason, or reads it as it is, and holds nobody up."""
    target = TARGETS[name]

    for data in target.seeds:
        target.examine(data)
    for number in range(CHANGED):
        target.examine(changed(list(target.seeds), number))


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_takes_some_of_its_seeds(name: str) -> None:
    """At least one input to begin with is not refused: else nothing would be compared."""
    target = TARGETS[name]
    taken = 0
    for data in target.seeds:
        try:
            target.read(data, Turns().pause)
        except target.refusals:
            continue
        taken += 1

    assert taken


def reader(
    read: Callable[[bytes, Pause], Any], holds: Callable[[bytes, Any], None] = lambda *_: None
) -> Target[Any]:
    """Return a reader that refuses by ValueError."""
    return Target(read, (ValueError,), holds, [b""])


def raising(error: Exception) -> Callable[[bytes, Pause], None]:
    """Return what raises an error whatever it reads."""

    def read(_: bytes, __: Pause) -> None:
        raise error

    return read


def test_an_error_that_is_no_refusal_is_a_finding() -> None:
    """What a reader must not raise comes out as it is."""
    with pytest.raises(KeyError):
        reader(raising(KeyError("x"))).examine(b"")


@pytest.mark.parametrize("text", ["", "x" * 10_000])
def test_a_refusal_says_something_and_not_too_much(text: str) -> None:
    """A refusal without a reason is a finding, and one that echoes its input."""
    with pytest.raises(BrokenPromiseError, match="says nothing, or too much"):
        reader(raising(ValueError(text))).examine(b"")


def test_what_is_read_wrongly_is_a_finding() -> None:
    """What cannot be right is a finding."""
    wrong = reader(lambda data, _: len(data), lambda _, length: require(length == 1, "no", length))

    wrong.examine(b"a")
    with pytest.raises(BrokenPromiseError, match="no: 2"):
        wrong.examine(b"ab")


def test_what_takes_more_than_linear_time_is_found_in_short_inputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An expression that tries all places of one part with all of the next is found."""
    monkeypatch.setattr(target_module, "LONG_BYTES", (20_000,))
    slow = re.compile(r"Error\b[^\n]*?(?:([0-9]{1,9}) dropped)")
    target = reader(lambda data, _: slow.search(data.decode("latin-1")))

    def try_many() -> None:
        for number in range(20_000):
            try_input(target, b"Error %d " % number)

    with pytest.raises(BrokenPromiseError, match="others wait too long"):
        try_many()


def test_what_pauses_holds_nobody_up() -> None:
    """Time counts between two pauses: long work in slices is no finding."""

    def read(_: bytes, pause: Pause) -> None:
        for _ in range(40):
            sum(range(100_000))
            pause()

    reader(read).examine(b"")


def test_a_part_that_does_not_end_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that hangs is ended after a while, and its outcome says so."""
    monkeypatch.setattr(parts, "ENDS_WITHIN_S", 0.0)

    outcome = Properties("slow", ["tests/server"]).run(0.1, seed=1)

    assert not outcome.is_good
    assert "timed out after" in outcome.report


def test_an_input_is_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding's file is read again by one command."""
    path = tmp_path / "finding"
    path.write_bytes(b"a:1|ms")

    assert command.main(["--replay", "statsd", str(path)]) == 0
    assert "statsd: all promises are kept" in capsys.readouterr().out


def test_without_atheris_it_says_what_was_not_fuzzed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where atheris cannot be had, the readers that nobody fuzzed are named, and it fails."""
    monkeypatch.setattr(command, "find_spec", lambda _: None)

    assert command.main(["0.01", "--only", "statsd"]) == 1
    assert "NOT FUZZED: statsd. They need atheris" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed; see ops/fuzz")
def test_a_reader_is_fuzzed_under_atheris(tmp_path: Path) -> None:
    """A reader runs under atheris for some seconds, and says how much was tried."""
    outcome = Reader("statsd", tmp_path).run(1.0, seed=1)

    assert outcome.is_good, outcome.report
    assert outcome.done.endswith(" inputs")
