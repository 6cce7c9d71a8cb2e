"""The checks are no ornament: each rule that is taken away is missed within some seeds."""

from contextlib import closing

import pytest

from metrics.connection import Script
from ops.simulation.sabotage import SABOTAGES, changed
from ops.simulation.series import FAKE, Plan, outcomes_of
from tests.conftest import SERVERS

SEEDS_MAX = 600
STORAGES = [FAKE, str(SERVERS[max(SERVERS)])]


@pytest.mark.parametrize("on", STORAGES, ids=["fakeredis", "redis"])
@pytest.mark.parametrize("name", SABOTAGES)
def test_a_rule_that_is_taken_away_is_missed(name: str, on: str) -> None:
    """The same seeds, all of which are good with it, lose messages or count them twice.

    The ledger alone sees that, whatever the books say.
    """
    with closing(outcomes_of(Plan(on, name), range(SEEDS_MAX))) as outcomes:
        assert any(outcome.differences for outcome in outcomes)


def test_a_sabotage_that_changes_nothing_is_refused() -> None:
    """A rule that is written otherwise by now would be kept unnoticed."""
    with pytest.raises(ValueError, match="has 0 times, not once: nonsense"):
        changed(Script.named("commit"), ("nonsense", ""))
