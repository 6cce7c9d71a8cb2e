"""A Flask app whose requests are recorded."""

from flask import Flask, Response, send_file

from metrics import WSGIMiddleware
from tests.client.apps.answers import FILE, fail, streamed

app = Flask(__name__)


@app.get("/plain")
def plain() -> str:
    """Answer at once."""
    return "hello"


@app.get("/stream")
def stream() -> Response:
    """Answer in chunks."""
    return Response(streamed())


@app.get("/file")
def file() -> Response:
    """Answer with a file, which gunicorn sends by itself."""
    return send_file(FILE)


app.add_url_rule("/fail", view_func=fail)
app.wsgi_app = WSGIMiddleware(app.wsgi_app)
