"""The simulated backlog invents no message, and incidents take as long as they must."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lab.scale import __main__ as scale
from ops.lab.scale.incidents import (
    BEGIN_S,
    BUFFERED,
    CLAIM_S,
    CLIENTS,
    ELECTION_S,
    MASTERS,
    NODE_TIMEOUT_S,
    RATE,
    burst,
    dead_collector,
    dead_worker,
    failover,
    incidents,
)
from ops.lab.scale.queueing import STEP_S, Conditions, Moment, Pipeline
from ops.lab.service import ROOT

SOON_S = 0.5

conditions = st.builds(
    Conditions,
    arrivals=st.floats(0, 1e6),
    collect=st.floats(0, 1e6),
    fold=st.floats(0, 1e6),
    is_away=st.booleans(),
    seized=st.floats(0, 1e4),
    is_claimed=st.booleans(),
)


def at(moments: Sequence[Moment], seconds: float) -> Moment:
    """Return the moment so long after the beginning."""
    return moments[round(seconds / STEP_S) - 1]


@given(steps=st.lists(conditions, max_size=30), failing=st.floats(0, 1))
def test_every_message_is_somewhere(steps: list[Conditions], failing: float) -> None:
    """At all times every recorded message is waiting, dropped, in the backlog or committed."""
    pipeline = Pipeline(buffer_max=1e5, random=Random(1), failing=failing)

    for moment in map(pipeline.step, steps):
        assert moment.recorded == pytest.approx(
            moment.waiting + moment.dropped + moment.appended, abs=1e-3
        )
        assert moment.appended == pytest.approx(moment.committed + moment.backlog, abs=1e-3)
        assert min(moment.waiting, moment.dropped, moment.backlog, moment.backlog_age_s) >= 0


def test_a_pipeline_with_room_keeps_nothing_for_longer_than_a_worker_lingers() -> None:
    """A pipeline with room commits what is appended within two steps."""
    pipeline = Pipeline(buffer_max=1e5, random=Random(1))
    well = Conditions(arrivals=1000, collect=2000, fold=2000)

    moments = [pipeline.step(well) for _ in range(100)]

    assert max(each.waiting for each in moments) == 0
    assert max(each.backlog_age_s for each in moments) <= 2 * STEP_S


def test_a_backlog_grows_by_what_workers_are_short_of() -> None:
    """A backlog and its age grow by what workers are short of."""
    pipeline = Pipeline(buffer_max=1e5, random=Random(1), noise=0.0)
    short = Conditions(arrivals=1000, collect=2000, fold=500)

    last = [pipeline.step(short) for _ in range(int(10 / STEP_S))][-1]

    assert last.backlog == pytest.approx(5000, rel=0.02)
    assert last.backlog_age_s == pytest.approx(5, rel=0.05)


def test_a_seed_gives_the_same_incidents_again() -> None:
    """A seed gives the same incidents again, and another seed others."""
    assert incidents(1) == incidents(1)
    assert incidents(1) != incidents(2)


def test_all_is_committed_when_an_incident_is_over() -> None:
    """Nothing but a few steps' messages waits when an incident is over."""
    for incident in incidents(1):
        last = incident.moments[-1]

        assert last.backlog <= 3 * RATE * STEP_S, incident.name
        assert last.waiting <= RATE * STEP_S, incident.name
        assert last.backlog_age_s <= 2 * STEP_S, incident.name


def test_a_burst_fills_the_clients_before_anything_is_dropped() -> None:
    """A large burst fills the clients' buffers and drops the rest; a smaller one drops nothing."""
    large, small = burst(1), burst(1, factor=5)

    full = max(each.waiting for each in large.moments)
    assert full == pytest.approx(CLIENTS * BUFFERED, rel=0.01)
    assert large.moments[-1].dropped > 0
    assert small.moments[-1].dropped == 0


def test_a_dead_collector_delays_its_clients_and_loses_nothing() -> None:
    """A dead collector delays its clients by less than a second, and nothing is dropped."""
    incident = dead_collector(1)

    assert max(each.waiting_age_s for each in incident.moments) < 1
    assert incident.moments[-1].dropped == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_a_dead_worker_has_read_is_late_until_it_is_claimed(seed: int) -> None:
    """Entries of a dead worker are late until they are claimed, and all else goes on."""
    incident = dead_worker(seed)

    oldest_s = max(each.backlog_age_s for each in incident.moments)
    assert CLAIM_S <= oldest_s <= 1.5 * CLAIM_S + SOON_S
    late = at(incident.moments, BEGIN_S + CLAIM_S / 2)
    assert late.backlog <= 4 * RATE * STEP_S
    assert max(each.waiting for each in incident.moments) <= 2 * RATE * STEP_S


def test_while_a_master_fails_over_the_partitions_of_the_others_go_on() -> None:
    """While a master fails over, the others' partitions go on, and nothing is dropped."""
    incident = failover(1)
    before, after = (at(incident.moments, each) for each in (incident.begin_s, incident.end_s))

    went_on = (after.committed - before.committed) / (after.recorded - before.recorded)
    assert went_on == pytest.approx(1 - 1 / MASTERS, rel=0.02)
    oldest_s = max(each.waiting_age_s for each in incident.moments)
    assert oldest_s == pytest.approx(NODE_TIMEOUT_S + ELECTION_S, abs=SOON_S)
    assert incident.moments[-1].dropped == 0


def test_plots_are_written_as_they_are_in_docs(tmp_path: Path) -> None:
    """The plot of each incident is to the byte the one in docs, and names what it shows."""
    assert scale.main(["simulate", "--plot", str(tmp_path)]) == 0

    names = ["scale-burst", "scale-dead-collector", "scale-dead-worker", "scale-failover"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == names
    for path in tmp_path.iterdir():
        assert (ROOT / "docs" / path.name).read_bytes() == path.read_bytes()
        text = path.read_text("utf-8")
        for words in ("messages", "age of the oldest, s", "seconds"):
            assert f">{words}</text>" in text
        assert text.count("backlog: at most") == text.count("in clients: at most") == 2
