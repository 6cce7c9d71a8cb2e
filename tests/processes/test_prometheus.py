"""A real Prometheus scrapes all processes, and evaluates the alerts and the dashboards."""

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.lab.service import ROOT, Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from ops.local.waiting import wait_until
from tests.processes.test_exposition import samples_in
from tests.support.prometheus import Prometheus, needs_prometheus, promtool

DEPLOY = ROOT / "ops" / "deploy"
GRAFANA = DEPLOY / "grafana"
KEY = "checkout.web-1"
TIMEOUT_S = 90.0
SELF_KEY = "metrics.{service}-1"


@dataclass(frozen=True)
class Pipeline:
    """All three processes, of which both services have two processes of gunicorn."""

    collector: Service
    query: Service
    worker: Service


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Yield a running pipeline with messages of one key in the last hour that is complete."""
    folder = tmp_path_factory.mktemp("pipeline")
    redis = EmbeddedRedis(find_server(), port=free_port(), folder=folder).start()
    environ = {"WEB_CONCURRENCY": "2", "METRICS_SELF_KEY": SELF_KEY}
    services = [
        Service(name, redis.url, folder / f"{name}.log", **environ).launch()
        for name in ("collector", "query", "worker")
    ]
    try:
        for service in services:
            service.wait_until_ready(TIMEOUT_S)
        pipeline = Pipeline(*services)
        at = datetime.now(UTC) - timedelta(hours=2)
        body = {"key": KEY, "values": [10, 20, 30], "timestamps": [at.timestamp()] * 3}
        assert pipeline.collector.post(json.dumps(body)).status == 202
        wait_until(lambda: KEY in exported(pipeline), TIMEOUT_S)
        yield pipeline
    finally:
        for service in services:
            service.kill()
        redis.stop()


def exported(pipeline: Pipeline) -> str:
    """Return the numbers of all keys."""
    return pipeline.query.get("/export/prometheus").body.decode()


def samples_of(service: Service) -> dict[str, float]:
    """Return the samples of a process, asked on a connection of its own."""
    return samples_in(service.get("/metrics").body.decode())


@pytest.fixture(scope="module")
def prometheus(
    pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Yield a Prometheus with the configuration that ships, but for ports and intervals."""
    folder = tmp_path_factory.mktemp("prometheus")
    text = (DEPLOY / "prometheus.yaml").read_text("utf-8")
    for port, service in ((8000, "collector"), (8100, "query"), (8200, "worker")):
        text = text.replace(f"localhost:{port}", f"localhost:{getattr(pipeline, service).port}")
    config = yaml.safe_load(text)
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["rule_files"] = [str(DEPLOY / "alerts.yaml")]
    for job in config["scrape_configs"]:
        job.update(scrape_interval="500ms", scrape_timeout="500ms")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), "utf-8")
    found = Prometheus(folder / "prometheus.yaml", folder)
    yield found.start()
    found.stop()


def test_any_process_of_a_service_answers_for_all_and_none_that_dies_is_forgotten(
    pipeline: Pipeline,
) -> None:
    """Counts are those of all processes of a service, also of one that was killed meanwhile."""
    accepted = "metrics_collector_messages_accepted_total"
    answered = "metrics_collector_requests_total route=/messages status=202"
    before = samples_of(pipeline.collector)

    def post(times: int) -> None:
        for _ in range(times):
            assert pipeline.collector.post(f'{{"key":"{KEY}","value":1}}').status == 202

    def count(name: str) -> float:
        return samples_of(pipeline.collector)[name] - before.get(name, 0)

    post(10)
    # A process counts what it answered once it has answered.
    wait_until(lambda: count(accepted) == 10, TIMEOUT_S)
    log = pipeline.collector.log
    booted = set(map(int, re.findall(r"Booting worker with pid: (\d+)", log.read_text("utf-8"))))
    assert len(booted) == 2
    for pid in booted:
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: len(re.findall("Booting worker with pid", log.read_text("utf-8"))) >= 4, TIMEOUT_S
    )
    pipeline.collector.wait_until_ready(TIMEOUT_S)
    post(10)

    for name in (accepted, answered):
        wait_until(lambda: count(name) == 20, TIMEOUT_S)  # noqa: B023
        assert {count(name) for _ in range(8)} == {20}


def targets_of(name: str) -> list[dict[str, Any]]:
    """Return the queries of a dashboard, and those of its variables."""
    page = json.loads((GRAFANA / name).read_text("utf-8"))
    targets = [target for panel in page["panels"] for target in panel["targets"]]
    queries = [each["query"] for each in page["templating"]["list"] if each["type"] == "query"]
    return [*targets, *(each["infinityQuery"] for each in queries if "infinityQuery" in each)]


@needs_prometheus
@pytest.mark.parametrize("name", ["pipeline.json", "numbers-prometheus.json"])
def test_every_query_of_a_dashboard_finds_something(
    prometheus: Prometheus, pipeline: Pipeline, name: str
) -> None:
    """Each query of a dashboard has an answer in a Prometheus that scrapes a running pipeline."""
    assert pipeline.query.get(f"/{KEY}/max/today").status == 200
    for target in targets_of(name):
        expression = target["expr"].replace("$__rate_interval", "10s").replace("$key", ".*")
        wait_until(lambda: prometheus.query(expression), TIMEOUT_S, expression)  # noqa: B023


def test_every_query_of_the_json_dashboard_finds_its_columns(pipeline: Pipeline) -> None:
    """Each column that the dashboard for Infinity names is in the answer, with its type."""
    at = datetime.now(UTC) - timedelta(hours=2)
    variables = {"${key}": KEY, "${day}": f"{at:%F}", "${hour}": str(at.hour)}
    kinds = {"number": (int, float), "string": str, "boolean": bool}
    for target in targets_of("numbers.json"):
        url = target["url"]
        for name, value in variables.items():
            url = url.replace(name, value)
        answer = pipeline.query.get(url)
        assert answer.status == 200, url
        found = answer.json[target["root_selector"]] if target["root_selector"] else [answer.json]
        rows = [row for row in found if row is not None]
        assert rows, url
        for column in target["columns"]:
            for row in rows:
                assert isinstance(row[column["selector"]], kinds[column["type"]]), column


@needs_prometheus
def test_what_the_processes_show_is_well_written(pipeline: Pipeline) -> None:
    """Promtool finds no fault in any exposition, nor in the alerts and the configuration."""
    for service in (pipeline.collector, pipeline.query, pipeline.worker):
        assert promtool("check", "metrics", content=service.get("/metrics").body) == ""
    assert promtool("check", "metrics", content=exported(pipeline).encode()) == ""
    assert "SUCCESS" in promtool("check", "rules", str(DEPLOY / "alerts.yaml"))
    assert "SUCCESS" in promtool("check", "config", str(DEPLOY / "prometheus.yaml"))


FIRES: dict[str, dict[str, str]] = {
    "MetricsProcessDown": {'up{job="metrics-collector",instance="a"}': "0x60"},
    "MetricsNoWorker": {'up{job="metrics-worker",instance="a"}': "0x60"},
    "MetricsCollectorErrors": {
        'metrics_collector_requests_total{status="500",route="/messages"}': "0+1x60",
        'metrics_collector_requests_total{status="202",route="/messages"}': "0+90x60",
    },
    "MetricsRefused": {'metrics_collector_requests_total{status="503"}': "0+1x60"},
    "MetricsUnanswered": {'metrics_query_requests_total{status="503"}': "0+1x60"},
    "MetricsPartitionsUnreadable": {"metrics_partitions_unreadable": "1x60"},
    "MetricsNotCommitted": {
        'metrics_backlog_entries{partition="3"}': "5x60",
        'metrics_entries_committed_total{partition="3"}': "7x60",
    },
    "MetricsBacklogAge": {'metrics_backlog_oldest_seconds{partition="3"}': "0+15x60"},
    "MetricsBacklog": {'metrics_backlog_entries{partition="3"}': "20000x60"},
    "MetricsRedisMemory": {
        'metrics_redis_memory_used_bytes{partition="3"}': "90x60",
        'metrics_redis_memory_max_bytes{partition="3"}': "100x60",
    },
    "MetricsRedisErrors": {'metrics_worker_redis_errors_total{kind="unavailable"}': "0+1x60"},
    "MetricsSlow": {
        'metrics_collector_request_seconds_bucket{route="/messages",le="1.0"}': "0+1x60",
        'metrics_collector_request_seconds_bucket{route="/messages",le="2.5"}': "0+10x60",
        'metrics_collector_request_seconds_bucket{route="/messages",le="+Inf"}': "0+10x60",
    },
    "MetricsBooks": {'metrics_books_balance{partition="3"}': "0x60"},
    "MetricsDead": {'metrics_entries_dead_total{partition="3"}': "0x3 1x30"},
    "MetricsTakenOver": {"metrics_worker_entries_claimed_total": "0x3 7x30"},
    "MetricsTooMany": {'metrics_collector_requests_total{status="429"}': "0+1x60"},
    "MetricsKeys": {"metrics_keys": "81x60", "metrics_keys_max": "100x60"},
    "MetricsNewKeys": {"metrics_new_keys": "81x60", "metrics_new_keys_max": "100x60"},
    "MetricsTooManyConnections": {"metrics_query_connections_refused_total": "0+1x60"},
    "MetricsRejected": {
        'metrics_collector_messages_rejected_total{reason="key"}': "0+2x120",
        "metrics_collector_messages_accepted_total": "0+98x120",
    },
    "MetricsDropped": {"metrics_collector_messages_dropped_total": "0x3 7x30"},
    "MetricsSilent": {'metrics_messages_accepted_total{partition="3"}': "7x120"},
}
"""Alert -> series, a value a minute, by which it fires 9 minutes after the first."""

SLOW = ("MetricsRejected", "MetricsSilent")
"""These need 29 minutes."""

WELL = {
    series: values
    for job in ("collector", "query", "worker")
    for series, values in {
        f'up{{job="metrics-{job}",instance="a"}}': "1x120",
        f'metrics_{job}_redis_errors_total{{kind="unavailable"}}': "3x120",
    }.items()
} | {
    'metrics_backlog_oldest_seconds{partition="3"}': "0.2x120",
    'metrics_redis_memory_used_bytes{partition="3"}': "90x120",
    'metrics_redis_memory_max_bytes{partition="3"}': "0x120",
    'metrics_messages_accepted_total{partition="3"}': "0+100x120",
    'metrics_books_balance{partition="3"}': "1x120",
    "metrics_keys": "80x120",
    "metrics_keys_max": "100x120",
    "metrics_new_keys": "80x120",
    "metrics_new_keys_max": "100x120",
}
"""Series by which no alert fires."""


@needs_prometheus
def test_each_alert_fires_for_its_fault_and_none_when_all_is_well(tmp_path: Path) -> None:
    """An alert fires by the series of its fault; by those of a healthy pipeline none does."""
    alerts = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
    assert list(FIRES) == [alert["alert"] for alert in alerts]

    def firing(name: str, series: dict[str, str], at: str, times: int) -> dict[str, Any]:
        shown = [{"series": each, "values": values} for each, values in series.items()]
        found = [{"labels": "{}", "value": times}] if times else []
        condition = f'count(ALERTS{{alertname=~"{name}",alertstate="firing"}})'
        asked = [{"expr": condition, "eval_time": at, "exp_samples": found}]
        return {"interval": "1m", "input_series": shown, "promql_expr_test": asked}

    tests = [
        firing(name, series, "29m" if name in SLOW else "9m", 1) for name, series in FIRES.items()
    ]
    page = {
        "rule_files": [str(DEPLOY / "alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [*tests, firing(".*", WELL, "29m", 0)],
    }
    (tmp_path / "alerts_test.yaml").write_text(yaml.safe_dump(page), "utf-8")

    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "alerts_test.yaml"))


@needs_prometheus
def test_it_scrapes_all_processes_and_evaluates_every_alert(
    prometheus: Prometheus, pipeline: Pipeline
) -> None:
    """All jobs are up, every alert is evaluated without an error, and none fires for nothing."""

    def rules() -> list[dict[str, Any]]:
        (group,) = prometheus.get("rules")["groups"]
        return group["rules"]

    def is_up() -> bool:
        targets = prometheus.get("targets")["activeTargets"]
        up = {target["labels"]["job"] for target in targets if target["health"] == "up"}
        return up == {f"metrics-{name}" for name in ("collector", "query", "worker", "keys")}

    wait_until(is_up, TIMEOUT_S)
    wait_until(lambda: {rule["health"] for rule in rules()} == {"ok"}, TIMEOUT_S)
    alerts = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
    assert [rule["name"] for rule in rules()] == [rule["alert"] for rule in alerts]
    assert "firing" not in {rule["state"] for rule in rules()}
