"""An endurance run finds what leaks and forgives what does not; its ledger is exact."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ops.lab.endurance import probe, sender
from ops.lab.endurance.requests import BATCH
from ops.lab.endurance.sender import Orders, Sender
from ops.lab.endurance.verdict import (
    DATASET,
    LOOKS_MIN,
    MEMORY,
    Growth,
    History,
    Look,
    at_rest,
    left_behind,
    table,
)
from ops.lab.load.plan import Tick
from tests.support.fake_collector import NO_REPLY, FakeCollector, refusing

MB = 1e6


def history_of(measure: str, *generations: Sequence[float]) -> History:
    """Return looks at a process that was replaced between the generations."""
    history = History()
    for pid, values in enumerate(generations):
        for value in values:
            history.add([Look("collector-1", pid, {measure: value})])
    return history


def noisy(growth: float, *, count: int = 60, noise: float = 0.1 * MB) -> list[float]:
    """Return the memory of a process that grows by so much in all, around 60 MB."""
    random = Random(1)
    return [60 * MB + growth * i / count + random.gauss(0, noise) for i in range(count)]


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        (MEMORY, noisy(10 * MB)),
        (MEMORY, noisy(30 * MB, noise=MB)),
        (DATASET, noisy(30 * MB)),
        ("files", [20 + i // 4 for i in range(60)]),
        ("greenlets", [3 + i for i in range(LOOKS_MIN)]),
    ],
    ids=["memory", "memory with scatter", "dataset of Redis", "files", "greenlets"],
)
def test_what_grows_all_the_time_is_a_leak(measure: str, values: Sequence[float]) -> None:
    """A measure that grows all through the life of a process is complained of by its name."""
    (complaint,) = history_of(measure, values).complaints()

    assert complaint.startswith(f"collector-1, generation 1: {measure} grew by ")


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        (MEMORY, noisy(0)),
        (MEMORY, noisy(0, noise=3 * MB)),
        (MEMORY, [*(40 * MB + i * MB for i in range(30)), *noisy(0)[:30]]),
        (MEMORY, [*noisy(0)[:-1], 500 * MB]),
        ("files", [20, 35, 28, 24] * 15),
        ("clients", [*[9] * 50, *[40] * 5, *[9] * 5]),
        ("greenlets", [3 + i for i in range(LOOKS_MIN - 1)]),
    ],
    ids=["flat", "scatter", "warming up", "one peak", "busy", "a burst", "young"],
)
def test_what_does_not_grow_is_none(measure: str, values: Sequence[float]) -> None:
    """Scatter, caches that fill at first, peaks, and the first minutes are no leak."""
    assert not [*history_of(measure, values).complaints()]


def test_the_longer_a_leak_is_watched_the_smaller_it_may_be() -> None:
    """A leak per look that is within the bound after ten minutes is beyond it after an hour."""
    per_look = 0.02 * MB

    short, long = (Growth.of(MEMORY, noisy(per_look * count, count=count)) for count in (60, 360))

    assert short.by < short.bound
    assert long.by > long.bound


def test_each_generation_is_judged_by_itself() -> None:
    """A process that is replaced begins anew: more memory than the one before it is no growth."""
    flat = [80 * MB] * 40

    assert not [*history_of(MEMORY, noisy(0), flat).complaints()]
    (complaint,) = history_of(MEMORY, flat, noisy(20 * MB)).complaints()
    assert "generation 2" in complaint


def test_what_is_not_given_back_at_rest_is_told() -> None:
    """Descriptors, greenlets and clients that remain at rest are told, and few more are not."""
    before = {
        "collector-1": {MEMORY: 60.0, "files": 20.0, "greenlets": 2.0},
        "redis": {"clients": 30.0},
    }

    assert not left_behind(before, before)
    assert not left_behind(before, {**before, "collector-1": {"files": 23.0, "greenlets": 4.0}})
    (files,) = left_behind(before, {**before, "collector-1": {"files": 24.0, "greenlets": 2.0}})
    assert files == "collector-1: 24 files at rest, 20 before the load"
    (clients,) = left_behind(before, {**before, "redis": {"clients": 34.0}})
    assert clients.startswith("redis: 34 clients")
    assert len(left_behind(before, {"redis": before["redis"]})) == 2


def test_clients_of_all_nodes_are_one_number_at_rest() -> None:
    """A failover moves clients from node to node, so at rest they are counted together."""
    looks = [
        Look("collector-1", 1, {"files": 20}),
        Look("redis-1", 2, {DATASET: 10, "clients": 8}),
        Look("redis-2", 3, {DATASET: 10, "clients": 1}),
    ]

    assert at_rest(looks) == {"collector-1": {"files": 20}, "redis": {"clients": 9}}


def test_the_table_has_a_row_for_each_process() -> None:
    """The table has memory, its growth and the bound, and counts before, after and at most."""
    history = history_of(MEMORY, [50 * MB] * 40, [60 * MB] * 2)
    history.add([Look("collector-1", 1, {MEMORY: 60 * MB, "files": 30})])
    history.add([Look("redis-1", 2, {DATASET: 10 * MB, "clients": 8}), Look("streams", 0, {})])
    rest: Mapping[str, Mapping[str, float]] = {"collector-1": {"files": 20}}

    rows = table(history, rest, {"collector-1": {"files": 21}}).splitlines()

    assert rows[2:] == [
        "| collector-1 | 2, 1 | 60.0 | 0.00, 1.00 | 20, 21, 30 |  |  |",
        "| redis-1 | 1, 0 | 10.0 |  |  |  | 8 |",
    ]


def test_an_app_that_leaks_keeps_something_and_answers_as_before() -> None:
    """The sabotage keeps one thing in so many requests, and all else is the app's."""
    taken: list[int] = []

    class App:
        shortcut = "its own"

        def __call__(self, *request: object) -> Sequence[bytes]:
            return [str(request).encode()]

    app = probe.Leaking(App(), lambda: taken.append(len(taken)))
    answers = [app(1, 2) for _ in range(2 * probe.LEAKED_EVERY)]

    assert set(map(tuple, answers)) == {(b"(1, 2)",)}
    assert app.shortcut == "its own"
    assert len(taken) == 2
    descriptor = probe.LEAKS["files"]()
    assert isinstance(descriptor, int)
    os.close(descriptor)


def sent_to(
    fake: FakeCollector, folder: Path, **more: object
) -> tuple[Tick, dict[str, Counter[str]]]:
    """Let a sender send to a fake collector for a moment; return its last tick and its ledger."""
    for name in ("write", "read"):
        (folder / name).write_text(f"{name}-token", "utf-8")
    orders = Orders(
        port=fake.port,
        ports=[1, fake.port],  # nobody is at the first
        query_port=fake.port,
        token_files=[str(folder / "write"), str(folder / "read")],
        keys=3,
        connections=2,
        messages_per_s=100.0 * BATCH,
        seconds=0.1,
        bad=0.0,
        seed=7,
        ledger_file=str(folder / "ledger"),
    )
    ticks: list[Tick] = []
    Sender(replace(orders, **more)).run(ticks.append)  # type: ignore[arg-type]
    return ticks[-1], json.loads((folder / "ledger").read_text("utf-8"))


def test_what_has_its_202_is_in_the_ledger_however_often_it_was_sent(
    fake: FakeCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch without an answer goes again under its key until it has one, and counts once."""
    monkeypatch.setattr(sender, "REPEAT_S", 0.0)
    monkeypatch.setattr(sender, "UNKEYED", 0.0)
    fake.script = [refusing(503, stored="no"), lambda _: NO_REPLY]

    last, told = sent_to(fake, tmp_path)

    values: dict[str, list[float]] = {key: fake.values(key) for key in told["ledger"]}
    assert told["ledger"] == {key: [len(found), sum(found)] for key, found in values.items()}
    assert last.sent == last.accepted == BATCH * len(fake.counted) > 0
    assert len(fake.requests) == len(fake.counted) + 2
    assert {each.headers["authorization"] for each in fake.requests} == {"Bearer write-token"}
    assert told["unknown"] == 0
    assert set(told["wrong"]) == {"query: 501"}  # it has no queries


def test_a_batch_without_a_key_is_sent_once(
    fake: FakeCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch without a key and an answer is noted as unknown, and never sent again."""
    monkeypatch.setattr(sender, "UNKEYED", 1.0)
    fake.script = [lambda _: NO_REPLY] * 1000

    last, told = sent_to(fake, tmp_path)

    assert last.accepted == 0
    assert told["unknown"] == last.sent == BATCH * len(fake.requests) > 0


def test_an_answer_that_none_may_get_is_told(
    fake: FakeCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good batch that is refused is told with its status, and so is a bad one that is taken."""
    monkeypatch.setattr(sender, "UNKEYED", 0.0)
    fake.answer = refusing(401)

    _, told = sent_to(fake, tmp_path)

    assert told["wrong"]["good: 401"] == len(fake.requests)
