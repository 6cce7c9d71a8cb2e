"""Unexpected exceptions are answered as problems."""

import logging

import falcon
import falcon.testing
import pytest

from api.problems import add_problems


class Broken:
    """A resource with a fault."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Raise an error always."""
        raise KeyError(name)


def test_a_fault_of_ours_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception gives a 500 each time, and is logged once with its traceback."""
    app = falcon.App()
    add_problems(app)
    app.add_route("/broken/{name}", Broken())
    client = falcon.testing.TestClient(app)

    results = [client.simulate_get(f"/broken/{'x' * i}") for i in range(1, 100)]

    assert {result.status_code for result in results} == {500}
    assert all(result.json["detail"].startswith("A fault of ours") for result in results)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert caplog.records[0].exc_info
