"""A Starlette app whose requests are recorded."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from metrics import ASGIMiddleware
from tests.client.apps.answers import FILE, fail, streamed


async def plain(request: Request) -> PlainTextResponse:
    """Answer at once."""
    return PlainTextResponse("hello")


async def stream(request: Request) -> StreamingResponse:
    """Answer in chunks."""
    return StreamingResponse(streamed())


async def file(request: Request) -> FileResponse:
    """Answer with a file."""
    return FileResponse(FILE)


async def failing(request: Request) -> None:
    """Fail."""
    fail()


app = Starlette(
    routes=[
        Route("/plain", plain),
        Route("/stream", stream),
        Route("/file", file),
        Route("/fail", failing),
    ]
)
app.add_middleware(ASGIMiddleware)
