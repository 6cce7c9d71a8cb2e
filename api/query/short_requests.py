"""Each request of the query service is short until it turns out to be long."""

import falcon

from api.time_slices import TimeSlices


class ShortRequests:
    """Middleware that says to the time slices of a process which requests there are.

    Args:
        slices: Long requests wait between their slices while there is a short one.
    """

    def __init__(self, slices: TimeSlices) -> None:
        self._slices = slices

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say that it begins."""
        del req, resp
        self._slices.begin_request()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Say that it has ended."""
        del req, resp, resource, req_succeeded
        self._slices.end_request()
