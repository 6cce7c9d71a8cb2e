"""The way to the query service: GETs over one kept connection."""

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode

from metrics.cli.failures import NoAnswerError, NoMessagesError
from metrics.client.collectors import Address

ANSWER_S = 30.0
"""How long a connection, and each read of an answer, may take: a wide question waits its turn."""

ANSWER_BYTES_MAX = 64 * 1024 * 1024

_PROBLEM = "application/problem+json"


class QueryService:
    """Asks one query service. To be closed.

    Args:
        url: ``http://127.0.0.1:8100``; a path is a prefix.
        token: A read token; empty if it asks for none.

    Raises:
        NoAnswerError: If the URL is none.
    """

    def __init__(self, url: str, token: str) -> None:
        try:
            address = Address.parse(url.strip())
        except ValueError as error:
            # Not shown: it may hold a password.
            raise NoAnswerError(
                "METRICS_QUERY_URL, --query-url: must be http://host:port, without a password"
            ) from error
        self._url = url
        self._prefix = address.path.removesuffix("/messages")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        make = http.client.HTTPSConnection if address.is_tls else http.client.HTTPConnection
        port = address.port or make.default_port
        self._connection = make(address.host, port, timeout=ANSWER_S)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, *segments: str, **parameters: str | int) -> Any:  # noqa: ANN401
        """Return what it answers, decoded.

        Args:
            segments: Of the path.
            parameters: Of the query.

        Raises:
            NoMessagesError: If that has no messages.
            NoAnswerError: If there is no answer, with what can be done.
        """
        path = "/".join(quote(segment, safe="*:") for segment in segments)
        query = f"?{urlencode(parameters)}" if parameters else ""
        try:
            response, body = self._exchange(f"{self._prefix}/{path}{query}")
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise NoAnswerError(
                f"{self._url} does not answer: {why}. Is it the URL of the query service "
                "(METRICS_QUERY_URL, --query-url)?"
            ) from error
        return self._read(response, body)

    def _exchange(self, target: str) -> tuple[http.client.HTTPResponse, bytes]:
        was_open = self._connection.sock is not None
        try:
            return self._ask(target)
        except ConnectionError:  # it may have been closed meanwhile
            if not was_open:
                raise
        self._connection.close()
        return self._ask(target)

    def _ask(self, target: str) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request("GET", target, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read(ANSWER_BYTES_MAX)
        if not response.isclosed():
            raise http.client.HTTPException(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
        return response, body

    def _read(self, response: http.client.HTTPResponse, body: bytes) -> Any:  # noqa: ANN401
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if response.status == http.client.OK and isinstance(answer, dict):
            return answer
        is_problem = response.headers.get_content_type() == _PROBLEM and isinstance(answer, dict)
        if not is_problem:
            raise NoAnswerError(
                f"{self._url} answers {response.status} as no query service does. "
                "Is it the URL of one (METRICS_QUERY_URL, --query-url)?"
            )
        detail = str(answer.get("detail") or answer.get("title") or "")
        if response.status == http.client.NOT_FOUND:
            raise NoMessagesError(detail)
        if response.status == http.client.UNAUTHORIZED:
            detail += " (METRICS_TOKEN or --token-file)"
        raise NoAnswerError(f"{self._url} answers {response.status}: {detail}")
