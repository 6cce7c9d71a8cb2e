"""The HTTP server of both services. What it promises is in docs/http-server.md."""
