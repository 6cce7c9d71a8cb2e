"""The checks of the simulation are effective: they find each rule that is taken away."""

from contextlib import closing

import pytest

from metrics.connection import Script
from ops.lab.simulation.sabotage import SABOTAGES, changed
from ops.lab.simulation.series import Plan, outcomes_of
from tests.conftest import SERVERS

SEEDS_MAX = 600

FOUND_BY = {
    "no fence": (1, 3),
    "no XDEL": (27, 18),
    "ack and apply in two calls": (27, 22),
    "an entry dead-lettered as a whole": (5, 55),
    "dropped not added up": (29,),
    "no mark": (4, 6),
    "mark in another slot": (17, 41),
    "the client library's own retries on": (45, 52),
}
"""Seeds that found these, when the test was written: tried first, to be done soon."""


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_rule_that_is_taken_away_is_missed(name: str) -> None:
    """Without any one rule some of the seeds lose a message or count it twice.

    The ledger alone sees that, whatever the audit is. The seeds run on a real server, where each
    schedule has the faults of fakeredis and more, and finds the difference sooner.
    """
    plan = Plan(str(SERVERS[max(SERVERS)]), name)
    with closing(outcomes_of(plan, [*FOUND_BY[name], *range(SEEDS_MAX)])) as outcomes:
        assert any(outcome.differences for outcome in outcomes)


def test_a_sabotage_that_changes_nothing_is_refused() -> None:
    """A sabotage whose rule is not in the script raises an error."""
    with pytest.raises(ValueError, match="has 0 times, not once: nonsense"):
        changed(Script.named("commit"), ("nonsense", ""))
