"""Parts of a chaos run that need no run: its schedule, its comparison and its last line."""

from dataclasses import replace
from itertools import islice

from metrics.aggregate import Aggregate
from metrics.hours import Hour
from ops.lab.chaos.check import Hash, changes, counted_by_key, differences, unlike_their_values
from ops.lab.chaos.schedule import schedule
from ops.lab.chaos.system import skewed_command
from ops.lab.chaos.verdict import IDS_MAX, TEXTS_MAX, Finding, Verdict
from ops.lab.ledger import Counted, Ledger

FAULTS = ("kill-worker", "kill-redis", "stall-worker", "turn-hour")
HOUR = Hour.parse("2026-11-23T14")


def first_of(seed: int, number: int = 12) -> list[tuple[str, float]]:
    """Return the first faults of a schedule, each with a random number of its own."""
    return [(name, random.random()) for name, random in islice(schedule(FAULTS, seed), number)]


def hash_of(key: str, *values: float, hour: Hour = HOUR) -> Hash:
    """Return the hash of a key-hour with these values."""
    return Hash(key, hour, Aggregate.of(values))


def test_a_seed_gives_the_same_schedule_again() -> None:
    """A seed gives the same faults and random numbers again, and another seed others."""
    assert first_of(7) == first_of(7)
    assert first_of(7) != first_of(8)


def test_the_order_in_which_faults_are_named_does_not_matter() -> None:
    """The order in which faults are named does not change the schedule."""
    again = islice(schedule(reversed(FAULTS), 7), 12)

    assert [name for name, _ in again] == [name for name, _ in first_of(7)]


def test_every_fault_comes_once_in_every_round() -> None:
    """Every fault comes once in every round of a schedule."""
    names = [name for name, _ in first_of(7)]

    for first in (0, 4, 8):
        assert sorted(names[first : first + 4]) == sorted(FAULTS)


def test_a_run_without_findings_passes() -> None:
    """A run without findings has status 0 and one line with its numbers."""
    verdict = Verdict(7, {"accepted": 100, "counted": 101}, faults=5, findings=[])

    assert verdict.status == 0
    assert str(verdict) == "PASS seed=7 accepted=100 counted=101 faults=5"


def test_a_run_with_findings_fails_and_names_the_batches() -> None:
    """A run with findings has status 1, and its line names each batch once."""
    findings = [Finding("x", "chaos.1/2"), Finding("y", "chaos.1/2"), Finding("z", "chaos.0/9")]
    verdict = Verdict(7, {"accepted": 100, "counted": 99}, faults=5, findings=findings)

    assert verdict.status == 1
    assert str(verdict) == "FAIL seed=7 accepted=100 counted=99 faults=5: chaos.1/2, chaos.0/9"


def test_a_verdict_stays_one_line_that_can_be_read() -> None:
    """The last line names at most IDS_MAX batches, and how many more there are."""
    findings = [Finding("x", f"chaos.1/{i}") for i in range(IDS_MAX + 3)]
    unnamed = Verdict(7, {}, 1, [Finding(f"finding {i}") for i in range(TEXTS_MAX + 2)])
    verdict = Verdict(7, {}, faults=1, findings=findings)

    assert str(verdict).endswith(f"chaos.1/{IDS_MAX - 1} and 3 more")
    assert str(unnamed).endswith(f"finding {TEXTS_MAX - 1} and 2 more")


def test_the_collector_whose_clock_is_put_off_reads_it_from_a_file() -> None:
    """The command of one collector is that of the Procfile, with an app whose clock can be off."""
    command = skewed_command()

    assert "ops.lab.chaos.skewed_collector:get_app()" in command
    assert command.startswith("exec gunicorn ")
    assert "api.collector" not in command


def test_messages_that_came_late_are_no_difference() -> None:
    """A hash whose messages came late, as a clock was off, is like its values."""
    late = replace(Aggregate.of([1.0, 4.0]), late=2)

    assert not list(unlike_their_values([Hash("a", HOUR, late)]))


def test_a_failure_that_concerns_no_batch_is_told_itself() -> None:
    """A finding without a batch is in the last line with its own text."""
    verdict = Verdict(7, {}, 1, [Finding("TimeoutError: the backlog is empty")])

    assert str(verdict).endswith("faults=1: TimeoutError: the backlog is empty")


def test_a_key_has_what_all_its_hours_hold() -> None:
    """The count of a key is the sum over all its hours."""
    hashes = [hash_of("a", 1.0, 4.0), hash_of("a", 16.0, hour=Hour(HOUR.number + 1))]

    assert counted_by_key(hashes) == {"a": Counted(21.0, 3)}


def test_a_message_that_is_missing_is_told_with_its_batch() -> None:
    """A message that is missing, or counted twice, is a finding with its batch."""
    ledger = Ledger()
    for batch in ("one", "two"):
        ledger.open(batch, ["a"])
        ledger.answered(ledger.about_to_send(batch), "ok")

    found = differences(ledger, [hash_of("a", 1.0, 1.0)], "at noon")

    assert [finding.batch for finding in found] == ["one", "two"]
    assert "at noon: key a: message 0 of batch one: counted 2 times" in found[0].text


def test_numbers_that_are_not_those_of_the_values_are_found() -> None:
    """A hash whose buckets do not match its values is a finding, even if its sum is right."""
    sound = hash_of("a", 1.0, 4.0, 4.0)
    shifted = Hash("b", HOUR, Aggregate(2, 5.0, 1.0, 4.0, Aggregate.of([1.0, 1.0]).histogram))

    (finding,) = unlike_their_values([sound, shifted])

    assert finding.text.startswith("b in 2026-11-23T14: ")


def test_a_change_after_the_end_is_found() -> None:
    """A hash that changes, vanishes or appears after the end is a finding."""
    before = [hash_of("a", 1.0), hash_of("b", 1.0), hash_of("c", 1.0)]
    after = [hash_of("a", 1.0), hash_of("b", 1.0, 1.0), hash_of("d", 1.0)]

    found = changes(before, after, "after a restart")

    assert [finding.text.split()[3] for finding in found] == ["b", "c", "d"]
    assert not changes(before, before, "after a restart")
