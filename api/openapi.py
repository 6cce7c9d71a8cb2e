"""``/openapi.json``: what a service answers, as a machine reads it.

Source:
    OpenAPI Specification 3.1.0.
"""

from importlib import resources
from typing import Any

import falcon


class OpenApi:
    """The document of a service.

    Args:
        room: The package of the service, where its ``openapi.json`` lies.
    """

    def __init__(self, room: str) -> None:
        self._document = resources.files(room).joinpath("openapi.json").read_bytes()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the document."""
        resp.data = self._document
        resp.content_type = falcon.MEDIA_JSON


def add_openapi(app: falcon.App[Any, Any], room: str) -> None:
    """Give an app the route to its document."""
    app.add_route("/openapi.json", OpenApi(room))
