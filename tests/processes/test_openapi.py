"""Both services answer whatever schemathesis makes of their OpenAPI documents as these say."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from ops.lab.service import START_TIMEOUT_S, Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server

ROOT = Path(__file__).parents[2]
EXAMPLES = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))

# A pattern cannot say which days there are, nor that a key was used for another body.
UNKNOWABLE = [positive_data_acceptance]


@schemathesis.serializer("application/x-ndjson", "application/jsonl", "application/logplex-1")
def serialize_lines(_: object, body: object) -> bytes:
    """Return a body as a line, or as it is if it is text already."""
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


collector_document = schemathesis.openapi.from_path(str(ROOT / "api/collector/openapi.json"))
query_document = schemathesis.openapi.from_path(str(ROOT / "api/query/openapi.json"))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run a collector and a query service, and return where each is."""
    folder = tmp_path_factory.mktemp("openapi")
    redis = EmbeddedRedis(find_server(), port=free_port(), folder=folder).start()
    running = {
        "collector": Service("collector", redis.url, folder / "log").launch(),
        "query": Service("query", redis.url, folder / "log", METRICS_WRITE_TOKENS="any").launch(),
    }
    try:
        for each in running.values():
            each.wait_until_ready(START_TIMEOUT_S)
        yield {name: f"http://127.0.0.1:{each.port}" for name, each in running.items()}
    finally:
        for each in running.values():
            each.stop()
        redis.stop()


@collector_document.parametrize()
@EXAMPLES
def test_the_collector_answers_as_its_document_says(
    case: schemathesis.Case, services: dict[str, str]
) -> None:
    """The collector answers any request with a status and a body that its document has."""
    case.call_and_validate(base_url=services["collector"], excluded_checks=UNKNOWABLE)


@query_document.parametrize()
@EXAMPLES
def test_the_query_service_answers_as_its_document_says(
    case: schemathesis.Case, services: dict[str, str]
) -> None:
    """The query service answers any request with a status and a body that its document has."""
    case.call_and_validate(base_url=services["query"], excluded_checks=UNKNOWABLE)
