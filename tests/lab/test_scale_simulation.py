"""The simulated backlog invents no message, and incidents take as long as they must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from ops.lab.scale.queueing import STEP_S, Flow

LEAST = 1e-3
ROOM = 1e5

rates = st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))


@given(steps=st.lists(rates, min_size=1, max_size=30))
def test_every_message_is_somewhere(steps: list[tuple[float, float, float]]) -> None:
    """Nothing is invented or done faster than it can be, and no more waits than there is room."""
    arrivals, collect, fold = (np.array(each) for each in zip(*steps, strict=True))

    flow = Flow.of(arrivals, collect, fold, room=ROOM)

    assert flow.recorded[-1] == pytest.approx(arrivals.sum() * STEP_S)
    for come, gone, capacity in (
        (flow.recorded - flow.dropped, flow.appended, collect),
        (flow.appended, flow.committed, fold),
    ):
        steps_gone = np.diff(gone, prepend=0.0)
        assert np.all((steps_gone > -LEAST) & (steps_gone < capacity * STEP_S + LEAST))
        assert np.all(gone < come + LEAST)
    assert np.all((flow.waiting > -LEAST) & (flow.waiting < ROOM + LEAST))
    assert np.all(np.diff(flow.dropped, prepend=0.0) >= 0)


def test_a_pipeline_with_room_keeps_nothing_for_longer_than_a_worker_lingers() -> None:
    """A pipeline with room commits what is appended in the next step."""
    flow = Flow.of(np.full(100, 1000.0), np.full(100, 2000.0), np.full(100, 2000.0), room=ROOM)

    assert flow.waiting.max() == 0
    assert flow.backlog_age_s.max() <= 2 * STEP_S


def test_a_backlog_grows_by_what_workers_are_short_of() -> None:
    """A backlog and its age grow by what workers are short of."""
    flow = Flow.of(np.full(200, 1000.0), np.full(200, 2000.0), np.full(200, 500.0), room=ROOM)

    assert flow.backlog[-1] == pytest.approx(5000, rel=0.02)
    assert flow.backlog_age_s[-1] == pytest.approx(5, rel=0.05)


def test_all_is_committed_when_an_incident_is_over() -> None:
    """Nothing but a step's messages waits when an incident is over."""
    for incident in incidents():
        assert incident.backlog[-1] <= 2 * RATE * STEP_S, incident.name
        assert incident.waiting[-1] <= LEAST, incident.name
        assert incident.backlog_age_s[-1] <= 2 * STEP_S, incident.name


def test_a_burst_fills_the_clients_before_anything_is_dropped() -> None:
    """A large burst fills the clients' buffers and drops the rest; a smaller one drops nothing."""
    large, small = burst(), burst(factor=5)

    assert large.waiting.max() == pytest.approx(CLIENTS * BUFFERED, rel=0.01)
    assert large.dropped > 0
    assert small.dropped == 0


def test_a_dead_collector_delays_its_clients_and_loses_nothing() -> None:
    """A dead collector delays its clients by less than a second, and nothing is dropped."""
    incident = dead_collector()

    assert 0 < incident.waiting_age_s.max() < 1
    assert incident.dropped == 0


def test_what_a_dead_worker_has_read_is_late_until_it_is_claimed() -> None:
    """Entries of a dead worker are late until they are claimed, and all else goes on."""
    incident = dead_worker()

    assert CLAIM_S < incident.backlog_age_s.max() < 1.5 * CLAIM_S
    assert incident.backlog.max() <= 3 * RATE * STEP_S
    assert incident.waiting.max() <= LEAST


def test_while_a_master_fails_over_the_partitions_of_the_others_go_on() -> None:
    """While a master fails over, the others' partitions go on, and nothing is dropped."""
    incident = failover()
    away = slice(round(BEGIN_S / STEP_S), round(incident.end_s / STEP_S))

    committed, recorded = (
        sum(np.ptp(getattr(flow, name)[away]) for flow in incident.flows)
        for name in ("committed", "recorded")
    )
    assert committed / recorded == pytest.approx(1 - 1 / MASTERS, rel=0.02)
    assert incident.waiting_age_s.max() == pytest.approx(NODE_TIMEOUT_S + ELECTION_S, abs=STEP_S)
    assert incident.dropped == 0
