"""``ops/run``: Redis, if none is named, and the Procfile's processes under honcho."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from metrics.connection import Connection, command
from metrics.errors import MetricsError, SettingsError
from metrics.layout import Layout
from metrics.settings import EVERYWHERE, LOOPBACK, Settings, in_url, is_loopback
from metrics.tls import CA_FILE, CERT_FILE, KEY_FILE, TlsFiles
from metrics.tokens import read_file
from ops.local import append_only_file
from ops.local.data_folder import own
from ops.local.password import Password
from ops.local.ports import is_free
from ops.local.redis_server import EmbeddedRedis, end_with_parent, find_cli, find_server
from ops.local.signals import interrupt_on_signals

ROOT = Path(__file__).parents[2]
SERVICES = {"collector": 0, "query": 100, "worker": 200}
"""The Procfile's processes, and how far honcho puts their ports from the first."""

REDIS_OFFSET = 300
NO_CLI = "ops/run: for the redis-cli below: apt install redis-tools, or brew install redis"

CONCURRENCY_MAX = 4
"""One Redis is busy with what so many collector processes take in."""

SELF_KEY = "metrics.{service}-1"
"""Both services record how long they take: so there is something to see from the first second."""

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


def main(environ: Mapping[str, str]) -> int:
    """Run until a signal comes or a process ends; return the exit status."""
    interrupt_on_signals()
    try:
        with _redis(environ) as (url, cli):
            return _run({**environ, "REDIS_URL": url}, cli)
    except KeyboardInterrupt:
        return 0
    except MetricsError as error:
        print(f"ops/run: {error}", file=sys.stderr)
        return 2


@contextmanager
def _redis(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the URL of a Redis that answers, and how redis-cli reaches it."""
    if environ.get("REDIS_URL"):
        settings = Settings.from_env(environ, default_host=LOOPBACK)
        _check_tokens(settings)
        _check_ports(settings.host, settings.port, SERVICES.values())
        _check_redis(settings)
        yield settings.redis_url, " ".join(["redis-cli -c -u $REDIS_URL", *_cli_files(settings)])
        return
    settings = Settings.from_env(
        {**environ, "REDIS_URL": "redis://embedded"}, default_host=LOOPBACK
    )
    _check_tokens(settings)
    _check_ports(settings.host, settings.port, SERVICES.values())
    _check_ports(LOOPBACK, settings.port, [REDIS_OFFSET])
    with own(Path(environ.get("METRICS_DATA_DIR") or "data").absolute(), "ops/run") as folder:
        append_only_file.make_private(folder)
        server = find_server(folder)
        redis = EmbeddedRedis(
            server,
            port=settings.port + REDIS_OFFSET,
            folder=folder,
            password=Password.kept_in(folder),
        )
        if find_cli(server) is None:
            print(NO_CLI, file=sys.stderr, flush=True)
        try:
            redis.start()
            _check_redis(Settings.from_env({**environ, "REDIS_URL": redis.url}))
            yield redis.url, redis.cli
        finally:
            redis.stop()


def _check_tokens(settings: Settings) -> None:
    """See that not everybody may read and write where others than this machine can ask."""
    for tokens, file in (
        (settings.write_tokens, settings.write_tokens_file),
        (settings.read_tokens, settings.read_tokens_file),
    ):
        if file:
            read_file(file)
        elif not tokens and not is_loopback(settings.host) and not settings.without_tokens:
            raise SettingsError(
                f"METRICS_HOST={settings.host} lets other machines in, so METRICS_WRITE_TOKENS "
                "and METRICS_READ_TOKENS (or their _FILE) must be set; where everybody who "
                "reaches this port may read and write, set METRICS_WITHOUT_TOKENS=yes"
            )


def _cli_files(settings: Settings) -> Iterator[str]:
    """Give what redis-cli needs for the files of ``rediss://``."""
    files = settings.redis_tls or TlsFiles()
    for option, variable, is_set in (
        ("--cacert", CA_FILE, files.ca),
        ("--cert", CERT_FILE, files.certificate),
        ("--key", KEY_FILE if files.key else CERT_FILE, files.certificate),
    ):
        if is_set:
            yield f"{option} ${variable}"


def _check_ports(host: str, first: int, offsets: Iterable[int]) -> None:
    taken = [first + offset for offset in offsets if not is_free(first + offset, host)]
    if taken:
        raise SettingsError(
            f"port {', '.join(map(str, taken))} cannot be used; another base port is set with PORT"
            + (f", another address with METRICS_HOST ({host})" if host != LOOPBACK else "")
        )


def _check_redis(settings: Settings) -> None:
    connection = Connection.open(
        settings.redis_url, timeout_s=3.0, connections_max=1, tls=settings.redis_tls
    )
    try:
        connection.ask(command("PING"))
        Layout(connection, partitions=settings.partitions).ensure()
    except SettingsError:
        raise
    except MetricsError as error:
        raise SettingsError(f"REDIS_URL: {error}") from error
    finally:
        connection.close()


def _run(environ: Mapping[str, str], cli: str) -> int:
    settings = Settings.from_env(environ, default_host=LOOPBACK)
    honcho = subprocess.Popen(
        [sys.executable, "-m", "honcho", "start", "--port", str(settings.port)],
        cwd=ROOT,
        env={
            **environ,
            "METRICS_HOST": settings.host,
            "PORT": str(settings.port),
            "PYTHONUNBUFFERED": "1",
            "METRICS_SELF_KEY": environ.get("METRICS_SELF_KEY", SELF_KEY),
            "WEB_CONCURRENCY": environ.get("WEB_CONCURRENCY") or str(web_concurrency()),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")]),
        },
        stdin=subprocess.DEVNULL,
        # Ctrl-C is passed on below, once and in order.
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    try:
        _wait_until_ready(honcho, settings)
        print(_welcome(settings, cli), flush=True)
        status = honcho.wait()
        print("ops/run: a process ended; its last lines are above", file=sys.stderr)
        return status or 1
    finally:
        _stop(honcho)


def web_concurrency() -> int:
    """Return how many processes the collector has, and the query service: one for each core."""
    return min(os.cpu_count() or 1, CONCURRENCY_MAX)


def _wait_until_ready(honcho: subprocess.Popen[bytes], settings: Settings) -> None:
    give_up = monotonic() + READY_TIMEOUT_S
    host = _reached_at(settings.host)
    waiting = {name: settings.port + offset for name, offset in SERVICES.items()}
    while waiting:
        sleep(0.1)
        waiting = {name: at for name, at in waiting.items() if not _is_ready(host, at)}
        if honcho.poll() is not None:
            raise SettingsError("a process did not start; its last lines are above")
        if monotonic() > give_up:
            raise SettingsError(f"not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(waiting)}")


def _reached_at(host: str) -> str:
    """Return where a client on this machine reaches what listens at a host."""
    return {EVERYWHERE: LOOPBACK, "::": "::1"}.get(host, host)


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        response.read()  # to its end: who hangs up before resets the connection
    except OSError:
        return False
    else:
        return response.status == http.client.OK
    finally:
        connection.close()


def _stop(honcho: subprocess.Popen[bytes]) -> None:
    if honcho.poll() is None:
        honcho.terminate()
    try:
        honcho.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(honcho.pid, signal.SIGKILL)
        honcho.wait()


def _welcome(settings: Settings, cli: str) -> str:
    at = in_url(_reached_at(settings.host))
    at = "localhost" if at == LOOPBACK else at
    # Quoted, as a shell would take the brackets of an IPv6 address for a pattern.
    to = f"'{at}'" if at[0] == "[" else at
    port = settings.port
    return f"""
metrics is ready: collector http://{at}:{port}, query and dashboard http://{at}:{port + 100}

  curl {to}:{port}/messages -d '{{"key":"checkout.web-1","value":123.4}}'
  curl {to}:{port + 100}/checkout.web-1/median/$(date -u +%F/%H)

Redis: {cli}. Stop with Ctrl-C.
"""


if __name__ == "__main__":
    sys.exit(main(os.environ))
