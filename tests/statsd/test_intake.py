"""Lines become messages; whatever does not is counted, and reported as lost if it was one."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import statsd_line
from metrics.statsd import intake as room
from metrics.statsd.intake import Counts, Intake
from metrics.statsd.names import Mapping, Names
from metrics.testing import Recorder

OWN = "statsd.host"


class Losses(Recorder):
    """A client that sends nothing and remembers losses, too.

    Attributes:
        lost: How many messages of each key were reported as dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lost: Counter[str] = Counter()

    def report_dropped(self, key: str, dropped: int) -> None:
        """Remember a loss."""
        super().report_dropped(key, dropped)
        self.lost[key] += dropped


class Agent:
    """An intake, and its client."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        self.client = Losses()
        self.intake = Intake(self.client, Names(**options), own_key=OWN)
        self.counts = self.intake.counts

    def take(self, *pieces: str | bytes) -> None:
        """Take pieces, and report."""
        for piece in pieces:
            self.intake.take(piece.encode() if isinstance(piece, str) else piece)
        self.intake.report()


@pytest.mark.parametrize(
    ("piece", "messages"),
    [
        ("a:1|ms", [("a", 1.0)]),
        ("a:1.5|h\nb:2|d\n\n a:3|ms \r\n", [("a", 1.5), ("b", 2.0), ("a", 3.0)]),
        ("a:1:2:3|ms", [("a", 1.0), ("a", 2.0), ("a", 3.0)]),
        ("a:1|ms|#env:prod,x:@0.1", [("a", 1.0)]),
        ("a:1|ms|@0.5|#x|c:ci-1", [("a", 1.0)] * 2),
        ("a:1|ms|#x|@0.5", [("a", 1.0)] * 2),
        ("a:1e3|ms", [("a", 1000.0)]),
        ("foo bar:1|ms\nfoo bar:2|ms", [("foo_bar", 1.0), ("foo_bar", 2.0)]),
    ],
)
def test_timings_are_recorded(piece: str, messages: list[tuple[str, float]]) -> None:
    """Each value of a timing is recorded; with a sample rate, as often as it stands for."""
    agent = Agent()
    agent.take(piece, piece)

    assert agent.client.messages == messages * 2
    assert agent.counts.recorded == len(messages) * 2
    assert agent.client.lost == {}


def test_what_is_no_timing_is_ignored_and_counted() -> None:
    """Counters, gauges, sets, events and service checks are no messages, and no losses."""
    agent = Agent()
    agent.take("a:1|c\na:+3|g|#x\na:u1|s\n_e{5,4}:title|text\n_sc|db|0|#x")

    assert (agent.counts.ignored, agent.client.messages, agent.client.lost) == (5, [], {})


def test_a_line_that_cannot_be_read_is_reported_as_lost() -> None:
    """It is a loss of its key if that is known or the line is a timing, else of the agent's own."""
    agent = Agent()
    agent.take("a:1|ms", "a:x|ms|@0.5\na:-1|ms\na:1:nan|ms\na:1|x", "new:x|ms\nb:1|x\n\xff:|")

    assert agent.client.lost == {"a": 5, "new": 1, OWN: 2}
    assert agent.client.messages == [("a", 1.0), ("a", 1.0)]
    assert agent.counts.unreadable == 8


def test_a_name_without_a_key_is_reported_as_lost() -> None:
    """Messages whose name can be no key, or is one too many, are losses of the agent's own."""
    agent = Agent(names_max=1)
    agent.take("...:1:2|ms", "a:1|ms\nb:1|ms|@0.25\na:2|ms")

    assert agent.client.lost == {OWN: 2 + 4}
    assert agent.client.values("a") == [1.0, 2.0]
    assert agent.counts.without_key == 6


def test_one_datagram_cannot_hold_the_agent_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece stands for so many messages at most; the rest is reported as lost."""
    monkeypatch.setattr(room, "MESSAGES_MAX", 100)
    agent = Agent()
    agent.take("a:1|ms|@0.02\nb:1|ms|@0.01\na:1|ms|@0.02\na:2|ms", "a:3|ms")

    assert Counter(agent.client.messages) == {("a", 1.0): 100, ("a", 3.0): 1}
    assert agent.client.lost == {"b": 100, "a": 1}
    assert agent.counts.oversized == 101


def test_a_short_line_cannot_stand_for_work_of_a_tenth_of_a_second() -> None:
    """Each message is recorded by itself, so the rarest samples are losses that are reported."""
    agent = Agent()
    agent.take(b"a:1|ms|@0.00002")

    assert (agent.counts.recorded, agent.client.lost) == (0, {"a": 50_000})


@pytest.mark.parametrize(
    ("line", "grammar"),
    [("x", room.FAULTS_MAX + 1), ("!:1|ms", room.FAULTS_MAX + 1), ("%d:1|h", 0)],
)
def test_a_datagram_of_short_lines_cannot_hold_the_agent_up(
    line: str, grammar: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grammar reads FAULTS_MAX bad lines of a piece and no plain one; none is left out."""
    read: list[str] = []
    parse = statsd_line.parse
    monkeypatch.setattr(statsd_line, "parse", lambda text: read.append(text) or parse(text))
    agent = Agent()
    lines = 65_000 // (len(line) + 3)
    text = "\n".join(line.replace("%d", str(number)) for number in range(lines))
    agent.take(text, "known:1|ms")

    assert len(read) == grammar
    assert agent.counts.recorded + agent.client.lost.total() == lines + 1
    assert agent.client.values("known") == [1.0]


def test_the_text_of_a_warning_is_made_once_for_a_piece() -> None:
    """However many lines of a piece cannot be read, one of them is shown."""
    agent = Agent()
    warned: list[str] = []
    agent.intake = Intake(
        agent.client, Names(), own_key=OWN, warn=lambda kind, _: warned.append(kind)
    )
    agent.take("x\n" * 100 + "...:1|ms\n" * 100, "x")

    assert warned == ["line", "name", "line"]


def test_losses_are_reported_once() -> None:
    """What was reported is not reported again; a number beyond the bound waits for its turn."""
    agent = Agent()
    agent.intake.lose(10**9 + 5)
    agent.take()
    assert agent.client.lost == {OWN: 10**9}
    agent.take()
    agent.take()
    assert agent.client.lost == {OWN: 10**9 + 5}


def test_datagrams_that_the_kernel_dropped_are_losses_of_the_agent() -> None:
    """A dropped datagram is at least one message of nobody knows which key."""
    agent = Agent()
    agent.intake.lose_datagrams(17, "udp")
    agent.take()

    assert (agent.client.lost, agent.counts.kernel_dropped) == ({OWN: 17}, 17)


@settings(max_examples=50)
@given(st.lists(st.text("ab1:|@#.ms\n-hdcg \x00é", max_size=40).map(str.encode) | st.binary()))
def test_whatever_comes_is_accounted_for(pieces: list[bytes]) -> None:
    """Any bytes are recorded, ignored or reported as lost; never a fault."""
    agent = Agent()
    agent.take(*pieces)
    counts = agent.counts

    assert counts.recorded == len(agent.client.messages)
    lost = counts.unreadable + counts.without_key + counts.oversized
    assert agent.client.lost.total() == lost


@pytest.mark.parametrize(
    "line", [" web-1:98|ms", " gunicorn.request.duration:98|ms", "_e{2,2}:12|ms", "\tweb-1:1|ms"]
)
def test_a_line_that_looks_plain_is_read_as_the_grammar_has_it(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short way gives what the long way gives: the same keys, the same events ignored."""
    both = [taken(line)]
    monkeypatch.setattr(room, "_PLAIN", re.compile("(?!)"))
    both.append(taken(line))

    assert both[0] == both[1]


@given(st.text("ab_e{}:.|ms1 #,\t\u2003", max_size=16))
def test_both_ways_read_any_line_alike(line: str) -> None:
    """What is read the short way is read the same the long way."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        short = taken(line)
        monkeypatch.setattr(room, "_PLAIN", re.compile("(?!)"))
        assert taken(line) == short


def taken(line: str) -> tuple[list[tuple[str, float]], Counts]:
    """Return what is made of a line, and what is counted."""
    mapping = Mapping.parse("gunicorn.request.duration=checkout.gunicorn")
    agent = Agent(prefix="checkout.", mappings=[mapping])
    agent.take(line)
    return agent.client.messages, agent.counts
