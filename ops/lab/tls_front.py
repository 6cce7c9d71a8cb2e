"""TLS in front of a Redis that was built without it, as wheels are."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

BYTES_MAX = 65536
LEAVE_TIMEOUT_S = 2.0


@cache
def speaks_tls(server: Path) -> bool:
    """Return whether a server was built with TLS."""
    # If so it asks for a certificate, and ends.
    refused = subprocess.run(
        [server, "--port", "0", "--tls-port", "1", "--save", ""],
        capture_output=True,
        text=True,
        check=False,
    )
    return "No tls-cert-file configured" in refused.stdout


@contextmanager
def tls_before(port: int, context: ssl.SSLContext, *, at: int = 0) -> Iterator[int]:
    """Pass what comes over TLS on to a port of this machine; give the port to connect to.

    Args:
        port: Where it is passed on to. While nobody listens there, who connects is hung up on.
        context: How TLS is served.
        at: The port to connect to; 0 for a free one.
    """
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BYTES_MAX):
            writer.write(data)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_redis, to_redis = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        pumps = [
            asyncio.ensure_future(pump(reader, to_redis)),
            asyncio.ensure_future(pump(from_redis, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            writer.close()
            to_redis.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", at, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    # Each ends with its client. To cancel one while it connects would leave its socket open.
    left = (await asyncio.wait(others, timeout=LEAVE_TIMEOUT_S))[1] if others else ()
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
