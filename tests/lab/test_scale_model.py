"""The model of the pipeline grows in its needs as it should, and finds what breaks first."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.aggregate import Aggregate
from ops.lab.bench.ingest import wrk
from ops.lab.load.messages import response_times
from ops.lab.scale import __main__ as scale
from ops.lab.scale.assumptions import Assumptions
from ops.lab.scale.check import Compared
from ops.lab.scale.demand import Layout, busiest_master_share, demand, folding, key_hour_bytes
from ops.lab.scale.figures import REFERENCE, Figures
from ops.lab.scale.hardware import ALL, CLUSTER, ONE_MACHINE, THIS_MACHINE, Hardware
from ops.lab.scale.limits import CHANGES, RATE_MAX, highest, limits
from ops.lab.scale.prices import LinearCost, cost, fit
from ops.lab.scale.report import KEYS, RATES, WAYS
from ops.lab.scale.sizing import least, size
from ops.lab.scale.spread import buckets_in, busiest_share, distinct, draws_for, occupied
from ops.lab.scale.traffic import Traffic
from ops.lab.service import ROOT

FIGURES = Figures.read(REFERENCE)
ASSUMED = Assumptions()
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")

ways = st.sampled_from(WAYS)
key_numbers = st.sampled_from([1, 10, 1000, 20_000])
rates = st.floats(10, 1e7)
layouts = st.builds(
    Layout, st.integers(1, 16), st.sampled_from([16, 64]), st.integers(1, 8), st.just(1.0)
)


def test_prices_are_found_from_mixed_work() -> None:
    """The price of each unit is found from the costs of mixed work."""
    true = {"call": 3.0, "message": 0.01}
    work = [{"call": 1.0, "message": 1.0}, {"call": 1.0, "message": 1000.0}, {"call": 7.0}]

    found = fit([(counts, cost(counts, true)) for counts in work])

    assert found == pytest.approx(true)


def test_no_price_is_negative() -> None:
    """A fitted price is never negative: such a unit costs nothing."""
    found = fit([({"call": 1.0}, 2.0), ({"call": 1.0, "message": 10.0}, 1.0)])

    assert found["message"] == 0
    assert 1 <= found["call"] <= 2


def test_a_line_goes_through_both_its_measurements() -> None:
    """The cost of requests is a line through both measurements."""
    line = LinearCost.through((10, 3.0), (1000, 102.0))

    assert line.of(1, 10) == pytest.approx(3.0)
    assert line.of(2, 2000) == pytest.approx(204.0)


@given(places=st.floats(1, 1e4), draws=st.floats(1, 1e5))
def test_no_more_places_are_met_than_there_are_or_than_are_drawn(
    places: float, draws: float
) -> None:
    """Distinct places are at least one, and at most as many as there are or are drawn."""
    assert 1 - 1e-9 <= distinct(places, draws) <= min(places, draws) + 1e-9


@given(draws=st.floats(1.01, 40))
def test_draws_are_found_from_the_places_that_they_met(draws: float) -> None:
    """The number of draws is found again from the places that they hit."""
    assert draws_for(16, distinct(16, draws) / draws) == pytest.approx(draws, rel=1e-3)


@pytest.mark.parametrize("keys", [1, 10, 1000])
def test_the_busiest_partition_has_its_share_and_more(keys: int) -> None:
    """The busiest partition has at least its share, and less the more keys there are."""
    share = busiest_share(16, keys)

    assert 1 / 16 <= share <= 1
    assert share >= busiest_share(16, keys * 10)
    assert share >= 1 / occupied(16, keys)
    assert busiest_share(16, 1) == 1


@pytest.mark.parametrize("messages", [1, 10, 100, 1000, 10_000])
def test_buckets_are_as_many_as_real_messages_need(messages: int) -> None:
    """The modelled number of buckets is within 5 % of what real messages need on average."""
    real = mean(len(Aggregate.of(response_times(messages, seed)).histogram) for seed in range(20))

    assert buckets_in(messages) == pytest.approx(real, rel=0.05)


def test_a_key_hour_is_as_large_as_measured_and_between_that_on_a_line() -> None:
    """A key-hour's size follows the measured sizes, and stops at the largest."""
    sizes = sorted(FIGURES.key_hour_bytes.items())

    for (few, small), (many, large) in pairwise(sizes):
        assert key_hour_bytes(few, FIGURES) == pytest.approx(small)
        assert small <= key_hour_bytes((few + many) / 2, FIGURES) <= large
    assert key_hour_bytes(1e9, FIGURES) == sizes[-1][1]


@given(way=ways, keys=key_numbers, rate=rates, layout=layouts)
def test_more_messages_never_need_less(way: str, keys: int, rate: float, layout: Layout) -> None:
    """More messages need no less of any part, whatever the way they are sent."""
    less, more = (
        demand(Traffic(each, keys, way), layout, FIGURES, ASSUMED)  # type: ignore[arg-type]
        for each in (rate, rate * 1.5)
    )

    for part in (
        "collector_cores",
        "worker_cores",
        "redis_cores",
        "memory_bytes",
        "wire_bits_per_s",
        "redis_bits_per_s",
    ):
        assert getattr(more, part) >= getattr(less, part) * 0.999, part


@given(way=ways, keys=key_numbers, rate=rates, layout=layouts)
def test_what_is_appended_is_folded(way: str, keys: int, rate: float, layout: Layout) -> None:
    """Workers commit as many messages a second as come in."""
    traffic = Traffic(rate, keys, way)  # type: ignore[arg-type]

    work, period_s = folding(traffic, layout, FIGURES, ASSUMED.patience_s)

    assert work["message"] == pytest.approx(traffic.values_per_s)
    assert work["round"] * layout.partitions**0 > 0
    assert 0 < work["commit"] <= work["entry"] * 1.001
    assert period_s > 0


@given(way=ways, keys=key_numbers, rate=rates)
def test_requests_hold_all_messages_and_clients_send_no_more_than_once_a_second_unless_full(
    way: str, keys: int, rate: float
) -> None:
    """Requests hold all messages, one or more; who aggregates sends at most one a second."""
    traffic = Traffic(rate, keys, way)  # type: ignore[arg-type]

    assert traffic.requests_per_s * traffic.messages_per_request == pytest.approx(rate)
    assert traffic.messages_per_request >= 1 - 1e-9
    if way == "aggregate":
        assert traffic.requests_per_s <= keys


def test_twice_the_cores_take_twice_the_rate_until_the_next_part_breaks() -> None:
    """Twice the collectors take twice the rate, until another part breaks first."""
    traffic = Traffic(1.0, 1000, "single")
    few = replace(CLUSTER, collectors=1, masters=16)
    rates_of = {
        factor: limits(traffic, replace(few, collectors=factor), FIGURES, ASSUMED)
        for factor in (1, 2, 1000)
    }

    assert [rates_of[factor][0].part for factor in (1, 2)] == ["collectors", "collectors"]
    idle = ASSUMED.queries_per_s * FIGURES.query_s
    one, two = (rates_of[factor][0].rate for factor in (1, 2))
    assert two / one == pytest.approx((2 * 0.6 - idle) / (0.6 - idle), rel=0.01)
    assert rates_of[1000][0].part != "collectors"
    assert rates_of[1000][0].rate == pytest.approx(
        next(each.rate for each in rates_of[1] if each.part == rates_of[1000][0].part), rel=0.01
    )


@pytest.mark.parametrize("hardware", ALL, ids=lambda hardware: hardware.name)
def test_a_part_breaks_where_it_is_full(hardware: Hardware) -> None:
    """The part that breaks first is full at its limit."""
    traffic = Traffic(1.0, 1000, "client")
    found = limits(traffic, hardware, FIGURES, ASSUMED)

    assert [each.rate for each in found] == sorted(each.rate for each in found)
    need = demand(replace(traffic, rate=found[0].rate), hardware.layout, FIGURES, ASSUMED)
    shares = hardware.shares(need, ASSUMED)
    assert max(shares.values()) == pytest.approx(1.0, rel=0.01)
    assert all(each.part in CHANGES for each in found)


def test_a_hot_key_gains_nothing_by_more_masters() -> None:
    """The limit of a single key's partition does not grow with more masters."""
    traffic = Traffic(1.0, 1, "client")
    one, many = (
        {
            each.part: each.rate
            for each in limits(traffic, replace(CLUSTER, masters=masters), FIGURES, ASSUMED)
        }
        for masters in (3, 16)
    )

    assert "redis" not in one | many
    assert one["partition"] == pytest.approx(many["partition"], rel=0.02)
    assert busiest_master_share(Layout(16, 16, 1), 1) == 1


def test_the_highest_rate_is_none_or_any_where_the_share_is_always_too_much_or_never() -> None:
    """The highest rate is 0 if the share is always too much, and RATE_MAX if it never is."""
    assert highest(lambda _: 2.0) == 0
    assert highest(lambda _: 0.5) == RATE_MAX
    assert highest(lambda rate: rate / 1000) == pytest.approx(1000, rel=0.01)


def test_the_least_that_is_enough_is_found() -> None:
    """The least number that is enough is found, or the largest if none is."""
    assert [least(lambda n: n >= 7, 100), least(lambda _: False, 5)] == [7, 5]


@pytest.mark.parametrize("way", WAYS)
def test_a_size_is_enough_and_one_master_fewer_is_not(way: str) -> None:
    """A size is enough for its traffic, and one master fewer is not."""
    traffic = Traffic(1e5, 1000, way)  # type: ignore[arg-type]
    found = size(traffic, FIGURES, ASSUMED)

    assert found.fits
    assert found.need.busiest_master <= ASSUMED.ceiling
    assert found.need.worker_cores <= found.layout.workers * ASSUMED.ceiling
    assert found.collectors >= found.need.collector_cores
    if found.layout.masters > 1:
        fewer = replace(found.layout, masters=found.layout.masters - 1)
        need = demand(traffic, fewer, FIGURES, ASSUMED)
        assert (
            need.busiest_master > ASSUMED.ceiling
            or need.busiest_master_bytes > ASSUMED.master_bytes_max
        )


def test_cost_is_of_cores_and_memory_with_their_replicas() -> None:
    """The cost is that of all cores with replicas, and of memory."""
    found = size(Traffic(1e4, 10, "client"), FIGURES, ASSUMED)
    free = size(Traffic(1e4, 10, "client"), FIGURES, replace(ASSUMED, gigabyte_usd_per_hour=0.0))

    cores = found.collectors + found.queries + found.layout.workers + 2 * found.layout.masters
    assert free.usd_per_hour == pytest.approx(cores * ASSUMED.core_usd_per_hour)
    assert found.usd_per_hour > free.usd_per_hour


def test_where_cores_are_shared_all_processes_share_them() -> None:
    """On shared cores the shares of all processes add up, with the sender's if it is there."""
    need = demand(Traffic(1000.0, 10, "single"), THIS_MACHINE.layout, FIGURES, ASSUMED)
    two_cores = replace(ONE_MACHINE, cores=2, ceiling=1.0)
    alone = two_cores.shares(need, ASSUMED)["cores"]
    with_senders = replace(two_cores, has_senders=True).shares(need, ASSUMED)["cores"]

    assert alone == pytest.approx(
        (need.collector_cores + need.worker_cores + need.query_cores + need.redis_cores) / 2
    )
    assert with_senders == pytest.approx(alone + need.sender_cores / 2)


def test_figures_are_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    """Figures to four digits are the same after they are written and read."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    FIGURES.write(first)
    rounded = Figures.read(first)
    rounded.write(second)

    assert Figures.read(second) == rounded
    assert rounded.collector_s == FIGURES.collector_s


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": "x"}'])
def test_a_file_without_figures_is_told_with_what_to_do(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without figures ends with status 2 and the command that measures them."""
    path = tmp_path / "figures.json"
    path.write_text(text)

    assert scale.main(["--figures", str(path)]) == 2
    assert f"python -m ops.lab.scale measure {path}" in capsys.readouterr().err


def test_the_report_has_a_row_for_each_traffic_and_each_hardware() -> None:
    """The page has a row for each traffic and each hardware, as wide as its head."""
    tables = [part.splitlines() for part in PAGE.split("\n\n") if part.startswith("|")]
    assert [len(table) - 2 for table in tables][:2] == [
        len(RATES) * len(KEYS) * len(WAYS),
        len(ALL) * len(KEYS) * len(WAYS),
    ]
    for table in tables:
        assert len({row.count("|") for row in table}) == 1
    assert FIGURES.machine in PAGE
    assert ASSUMED.price_source in PAGE


def test_the_page_is_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The page is exactly what the model prints."""
    assert scale.main([]) == 0

    assert capsys.readouterr().out == PAGE


@pytest.mark.parametrize(("measured", "status"), [(100.0, 0), (126.0, 0), (140.0, 1), (79.0, 1)])
def test_a_prediction_that_is_off_by_more_than_a_quarter_fails_the_check(
    measured: float,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A prediction that is off by more than a quarter makes the check fail."""
    compared = Compared("single", [100.0, 1.0, 1000.0], "cores", [measured] * 3)
    monkeypatch.setattr(scale, "check", lambda rounds, seconds: [compared])
    monkeypatch.setattr(wrk, "is_installed", lambda: True)

    assert scale.main(["check"]) == status
    assert f"measured {measured:,.0f}: {100 / measured - 1:+.0%}" in capsys.readouterr().out


def test_who_has_no_wrk_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without wrk the check ends with status 2 and says how to install it."""
    monkeypatch.setenv("PATH", "")

    assert scale.main(["check"]) == 2
    assert "apt install wrk" in capsys.readouterr().err


def test_the_reference_holds_prices_that_are_no_nonsense() -> None:
    """In the reference a message costs less than a call or commit, and a request over 1 µs."""
    told = json.loads(REFERENCE.read_text())

    assert told["append_redis_s"]["message"] < told["append_redis_s"]["call"]
    assert FIGURES.fold_worker_s["message"] < FIGURES.fold_worker_s["commit"]
    assert min(line.request for line in FIGURES.collector_s.values()) > 1e-6
