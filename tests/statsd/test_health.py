"""What an agent answers over HTTP tells nothing of what it runs on."""

import socket

import pytest

from metrics.statsd.health import HealthServer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"501"),
        (b"GET /healthz HTTP/7.7\r\nHost: localhost\r\n\r\n", b"505"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    ],
)
def test_every_answer_is_json_and_tells_no_version(request_: bytes, status: bytes) -> None:
    """Errors are problems, those of requests that are none too; nothing names a version."""
    server = HealthServer("127.0.0.1", 0, series=lambda: "")
    try:
        with socket.create_connection(server.server_address[:2], timeout=5) as connection:
            connection.sendall(request_)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    finally:
        server.close()

    assert answer.startswith(b"HTTP/1.0 " + status)
    assert b"Python" not in answer
    assert b"json" in answer
