"""Unexpected exceptions are answered as problems."""

import gc
import logging

import falcon
import falcon.testing
import pytest

from api.collector import app as collector
from api.problems import add_problems
from api.query import app as query
from metrics.connection import Connection
from metrics.errors import InvalidQueryError
from metrics.settings import Settings
from ops.local.ports import free_port
from tests.collector.test_collector import assert_is_problem


def client_of(service: str) -> falcon.testing.TestClient:
    """Return a client of a service that has no Redis."""
    nobody = Connection.open(f"redis://127.0.0.1:{free_port()}", timeout_s=0.3, connections_max=1)
    create_app = {"collector": collector.create_app, "query": query.create_app}[service]
    return falcon.testing.TestClient(
        create_app(nobody, Settings.from_env({"REDIS_URL": "redis://unused"}))
    )


class Broken:
    """A resource with a fault."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Raise an error always."""
        raise KeyError(name)


def test_a_fault_of_ours_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception gives a 500 each time, and is logged once with its traceback."""
    app = falcon.App()
    add_problems(app, [])
    app.add_route("/broken/{name}", Broken())
    client = falcon.testing.TestClient(app)

    results = [client.simulate_get(f"/broken/{'x' * i}") for i in range(1, 100)]

    assert {result.status_code for result in results} == {500}
    assert all(result.json["detail"].startswith("A fault of ours") for result in results)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert caplog.records[0].exc_info


class Refusing:
    """A resource that refuses everything."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise what is answered 400."""
        raise InvalidQueryError("no")


def test_an_error_is_gone_once_it_is_answered() -> None:
    """No error waits for the garbage collector, which in a query service seldom comes."""
    app = falcon.App()
    add_problems(app, [])
    app.add_route("/refused", Refusing())
    client = falcon.testing.TestClient(app)
    gc.collect()
    gc.disable()
    try:
        assert client.simulate_get("/refused").status_code == 400
        assert client.simulate_get("/none").status_code == 404
        found = [each for each in gc.get_objects() if isinstance(each, falcon.HTTPError)]
    finally:
        gc.enable()

    assert not found


@pytest.mark.parametrize(
    ("service", "path", "route"),
    [
        ("collector", "/message", "POST /messages"),
        ("query", "/messages", "GET /<key>/<stat>/<date>/<hour>"),
        ("query", "/" + "x" * 10_000, "GET /keys"),
    ],
)
def test_a_path_that_is_no_route_names_the_routes(service: str, path: str, route: str) -> None:
    """A 404 for an unknown path names what can be asked, and counts in /metrics."""
    client = client_of(service)

    problem = assert_is_problem(client.simulate_post(path), 404)

    assert route in problem["detail"]
    assert "GET /healthz" in problem["detail"]
    assert len(problem["detail"]) < 400
    shown = client.simulate_get("/metrics")
    if shown.status_code == 200:
        assert 'status="404"' in shown.text


@pytest.mark.parametrize(
    ("service", "path", "method", "allowed"),
    [("collector", "/messages", "PUT", "POST"), ("query", "/keys", "DELETE", "GET")],
)
def test_a_method_that_a_route_has_not_names_those_it_has(
    service: str, path: str, method: str, allowed: str
) -> None:
    """A 405 names the methods of the path, in its text and in Allow."""
    result = client_of(service).simulate_request(method, path)

    problem = assert_is_problem(result, 405)
    assert f"{path} takes " in problem["detail"]
    assert allowed in problem["detail"]
    assert allowed in result.headers["Allow"]
