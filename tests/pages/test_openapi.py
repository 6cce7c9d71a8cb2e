"""The OpenAPI documents are valid, and name the routes that there are."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import falcon
import falcon.inspect
import pytest
from openapi_spec_validator import validate

from api.collector.app import create_app as collector
from api.exposition import PROBES, Router
from api.query.app import create_app as query
from metrics.connection import Connection
from metrics.settings import Settings

ROOT = Path(__file__).parents[2]
SERVICES = {"collector": partial(collector, with_greenlets=False), "query": query}
IMPLIED = {"HEAD", "OPTIONS"}
"""Methods that HTTP itself explains."""


def document_of(service: str) -> dict[str, Any]:
    """Return the document of a service."""
    text = (ROOT / "api" / service / "openapi.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


falcon.inspect.register_router(Router)(falcon.inspect.inspect_compiled_router)


@pytest.mark.parametrize("service", SERVICES)
def test_the_document_is_valid(service: str) -> None:
    """The document of each service is OpenAPI 3.1."""
    document = document_of(service)

    validate(document)
    assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize("service", SERVICES)
def test_the_document_names_the_routes_that_there_are(service: str) -> None:
    """Each route and method of a service is in its document, and no other."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused"})
    connection = Connection.open("redis://127.0.0.1:1", timeout_s=1, connections_max=1)
    app = SERVICES[service](connection, settings)
    assert isinstance(app, falcon.App)

    routes = {
        route.path: {each.method for each in route.methods if not each.internal} - IMPLIED
        for route in falcon.inspect.inspect_routes(app)
    }
    documented = {
        path: {name.upper() for name in operations if name != "parameters"}
        for path, operations in document_of(service)["paths"].items()
    }
    assert documented == routes


@pytest.mark.parametrize("service", SERVICES)
def test_whoever_asks_may_ask_too_often(service: str) -> None:
    """Each operation that is no probe may be answered 429, as its document says."""
    operations = {
        (path, name): operation["responses"]
        for path, of_path in document_of(service)["paths"].items()
        for name, operation in of_path.items()
        if name != "parameters"
    }

    without = {path for (path, _), responses in operations.items() if "429" not in responses}
    assert without == set(PROBES)
