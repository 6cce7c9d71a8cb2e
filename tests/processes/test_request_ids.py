"""A request is found again: in its answer, in the body of an error, and in the log."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.lab.service import Service
from ops.local.ports import free_port
from ops.local.waiting import wait_until

NAMED = {"X-Request-Id": "web-1.42"}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    """Yield both services, whose Redis is away, with logs as JSON."""
    folder: Path = tmp_path_factory.mktemp("services")
    away = f"redis://127.0.0.1:{free_port()}"
    found = {
        name: Service(name, away, folder / name, METRICS_LOG_FORMAT="json").launch()
        for name in ("collector", "query")
    }
    for service in found.values():
        wait_until(service.is_alive, 60)
    yield found
    for service in found.values():
        service.kill()


@pytest.mark.parametrize(
    ("name", "method", "path", "content_type", "body"),
    [
        ("collector", "POST", "/messages", "application/json", '{"key":"a","value":1}'),
        ("collector", "POST", "/messages", "text/plain", "a,1"),
        ("collector", "POST", "/messages", "application/json", "nonsense"),
        ("collector", "GET", "/nothing", "", None),
        ("query", "GET", "/a/median/2026-11-23/14", "", None),
        ("query", "GET", "/a/nonsense/2026-11-23/14", "", None),
    ],
)
def test_an_error_names_its_request(
    services: dict[str, Service],
    name: str,
    method: str,
    path: str,
    content_type: str,
    body: str | None,
) -> None:
    """Each error, on the fast path too, has the id of its request in its header and its body."""
    headers = {"Content-Type": content_type} if content_type else {}
    for more in ({}, {}, NAMED):
        answer = services[name].request(method, path, body, headers | more)
        request_id = answer.json["request_id"]

        assert answer.status >= 400
        assert answer.headers.get_all("X-Request-Id") == [request_id]
        assert more != NAMED or request_id == "web-1.42"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] is None


def test_a_line_of_the_log_names_its_request(services: dict[str, Service]) -> None:
    """Every line of a service is JSON, gunicorn's too; one about a request has its id."""
    for service in services.values():
        service.get("/readyz", **NAMED)
        lines = [json.loads(line) for line in service.log.read_text("utf-8").splitlines()]

        assert any(line["logger"] == "gunicorn.error" for line in lines)
        about = [line for line in lines if "answering 503: " in line["message"]]
        assert about
        assert all(len(line["request_id"]) in (8, 16) for line in about)
