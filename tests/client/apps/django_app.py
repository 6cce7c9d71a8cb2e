"""A Django app whose requests are recorded."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from metrics import WSGIMiddleware
from tests.client.apps.answers import FILE, fail, streamed

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def plain(request: HttpRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse("hello")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer in chunks."""
    return StreamingHttpResponse(streamed())


def file(request: HttpRequest) -> FileResponse:
    """Answer with a file, which gunicorn sends by itself."""
    return FileResponse(FILE.open("rb"))


urlpatterns = [
    path("plain", plain),
    path("stream", stream),
    path("file", file),
    path("fail", lambda request: fail()),
]

application = WSGIMiddleware(get_wsgi_application())
