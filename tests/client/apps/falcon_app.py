"""A Falcon app whose requests are recorded."""

import falcon

from metrics import WSGIMiddleware
from tests.client.apps.answers import FILE, fail, streamed


class Plain:
    """Answers at once."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.text = "hello"


class Stream:
    """Answers in chunks."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.stream = streamed()


class File:
    """Answers with a file, which gunicorn sends by itself."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.set_stream(FILE.open("rb"), FILE.stat().st_size)


class Fail:
    """Fails."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer nothing."""
        fail()


app = falcon.App()
app.add_route("/plain", Plain())
app.add_route("/stream", Stream())
app.add_route("/file", File())
app.add_route("/fail", Fail())
app = WSGIMiddleware(app)
