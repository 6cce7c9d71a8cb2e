"""docs/operations.md and the alerts name only what is there."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from api.collector.send_queue import SENDERS
from api.query import app as query
from metrics.connection import Connection
from ops.lab.service import ROOT
from tests.collector import test_collector
from tests.query import test_query
from tests.support.runbook import PAGE
from workers.counters import Counters


def rules() -> list[dict[str, Any]]:
    """Return the alerts."""
    groups = yaml.safe_load((ROOT / "ops" / "deploy" / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def labels_of(connection: Connection) -> Iterator[tuple[str, set[str]]]:
    """Yield the names and labels of the series of all processes."""
    clients = test_collector.client_of(connection), test_query.client_of(connection)
    test_collector.post(clients[0], '["a",1]')
    clients[1].simulate_get("/a/max/2026-11-23/14")
    registry = CollectorRegistry()
    registry.register(Counters())
    texts = [client.simulate_get("/metrics").text for client in clients]
    for text in [*texts, generate_latest(registry).decode()]:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                yield sample.name, set(sample.labels)


def test_every_series_of_the_alerts_exists(connection: Connection) -> None:
    """Every series of an alert exists, with the labels that the alert needs."""
    series: Mapping[str, set[str]] = dict(labels_of(connection))

    for rule in rules():
        names = re.findall(r"\b(metrics_\w+)", rule["expr"])
        assert names or "up{job=" in rule["expr"], rule["alert"]
        lists = re.findall(r"(?:by|on) \(([\w, ]+)\)", rule["expr"])
        grouped = {label for each in lists for label in each.split(", ")} - {"job"}
        asked = set(re.findall(r"(\w+)=~?\"", rule["expr"])) - {"job"}
        for name in names:
            assert name in series, name
            assert grouped | asked <= series[name], rule["alert"]


def test_every_alert_leads_to_a_place_in_the_runbook() -> None:
    """The page lists exactly the alerts that there are."""
    table = PAGE[PAGE.index("## Alerts") : PAGE.index("## Runbook")]

    assert set(re.findall(r"`(Metrics\w+)`", table)) == {rule["alert"] for rule in rules()}


def test_every_alert_says_how_bad_it_is_and_what_it_is() -> None:
    """Every alert has a severity, a summary that is a sentence, and a link into the runbook."""
    for rule in rules():
        page, _, place = rule["annotations"]["runbook_url"].partition("#")
        assert (page, place in places_in(PAGE)) == ("docs/operations.md", True), rule["alert"]
        (row,) = re.findall(rf"^\|.*`{rule['alert']}`.*$", PAGE, re.MULTILINE)
        assert f"(#{place})" in row, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")


def places_in(text: str) -> set[str]:
    """Return the anchors of a page, as GitHub names its headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


def test_every_place_and_file_that_the_page_names_is_there() -> None:
    """Every place and file that the page names is there."""
    for path, place in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGE):
        target = ROOT / "docs" / (path or "operations.md")
        assert target.exists(), path
        assert not place or place in places_in(target.read_text("utf-8")), place
    for name in re.findall(r"`((?:ops|src|api|workers|docs|tests)/[\w./-]*)`", PAGE):
        assert (ROOT / name).exists(), name


def test_the_page_counts_the_connections_that_there_may_be() -> None:
    """The page has the numbers of connections that the code allows."""
    counts = f"collector {SENDERS + 1}, query service {query.CONNECTIONS_MAX}, worker 2"

    assert counts in PAGE
