"""A redis-server of our own: found on the machine, or taken out of a wheel."""

import contextlib
import ctypes
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from metrics.errors import SettingsError
from ops.local import append_only_file
from ops.local.password import Password
from ops.local.server_wheels import CARRIED, REDIS_6

REDIS_CONF = Path(__file__).parents[1] / "deploy" / "redis" / "redis.conf"
VERSION_MIN = (6, 2)
START_TIMEOUT_S = 120.0
"""Reading a large append-only file takes long; a server that fails to start ends by itself."""

REPLY_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 10.0

_PR_SET_PDEATHSIG = 1
_ON_PATH = ("redis-server", "valkey-server")
_CLI_ON_PATH = ("redis-cli", "valkey-cli")


def find_server(folder: Path | None = None) -> Path:
    """Return a server that is new enough, from the PATH or else from a wheel.

    Args:
        folder: Where its data lie: one that cannot read them is passed over.

    Raises:
        SettingsError: If there is none and none can be had.
    """
    for name in _ON_PATH:
        on_path = shutil.which(name)
        if on_path and _is_fit(Path(on_path), folder):
            return Path(on_path)
    return carried_server(folder)


def carried_server(folder: Path | None = None) -> Path:
    """Return the server of the best wheel that fits this machine; it is downloaded once.

    Args:
        folder: Where its data lie.

    Raises:
        SettingsError: If none can be had.
    """
    reasons = []
    for wheel in CARRIED:
        try:
            server = wheel.server()
        except SettingsError as error:
            reasons.append(str(error))
            continue
        if _is_fit(server, folder):
            return server
        reasons.append(f"that of {wheel.project} does not run here, or cannot read {folder}")
    raise SettingsError(
        f"no {' or '.join(_ON_PATH)} {'.'.join(map(str, VERSION_MIN))} or newer: none on the PATH, "
        f"{', '.join(reasons)}. Install one (apt install redis-server, brew install redis), "
        "or set REDIS_URL"
    )


def find_cli(server: Path) -> str | None:
    """Return the redis-cli to use with a server, as short as a shell finds it; None without one."""
    for name in _CLI_ON_PATH:
        if shutil.which(name):
            return name
    beside = server.with_name("redis-cli")
    if not beside.exists() and sys.platform == "linux" and platform.machine() == "x86_64":
        with contextlib.suppress(SettingsError):
            beside = REDIS_6.server().with_name("redis-cli")
    return str(beside) if beside.exists() else None


def version_of(server: Path) -> tuple[int, ...]:
    """Return the version of a server, (0,) if it does not tell."""
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", _told_by(server))
    return tuple(int(part) for part in found.groups()) if found else (0,)


def is_valkey(server: Path) -> bool:
    """Return whether a server is Valkey: it reads files of Redis, and Redis none of its."""
    return _told_by(server).startswith("Valkey")


def _told_by(server: Path) -> str:
    try:
        return subprocess.run(
            [server, "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:  # made for another kind of machine
        return ""


def _is_fit(server: Path, folder: Path | None) -> bool:
    version = version_of(server)
    return version >= VERSION_MIN and (
        folder is None
        or append_only_file.is_readable(folder, version=version, by_valkey=is_valkey(server))
    )


class EmbeddedRedis:
    """A redis-server process on 127.0.0.1, with its append-only file in a folder.

    Args:
        server: The program.
        port: Where it will listen.
        folder: Where its data lie.
        options: More arguments for it; they win over the configuration.
        configuration: Files of settings, of which the last wins.
        password: What clients and replicas must say; None if they need not.
    """

    def __init__(
        self,
        server: Path,
        *,
        port: int,
        folder: Path,
        options: Sequence[str] = (),
        configuration: Sequence[Path] = (REDIS_CONF,),
        password: Password | None = None,
    ) -> None:
        self._server = server
        self._arguments = [
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--logfile", str(folder / "redis.log"), "--daemonize", "no", *options),
        ]
        self._configuration = configuration
        self._folder = folder
        self._log_begin = 0
        self.port = port
        self._password = password
        self.url = f"redis://{password.in_url if password else ''}127.0.0.1:{port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def cli(self) -> str:
        """How a shell reaches it with redis-cli."""
        before = self._password.in_shell if self._password else ""
        return f"{before}{shlex.quote(find_cli(self._server) or 'redis-cli')} -p {self.port}"

    def start(self) -> Self:
        """Start it, and wait until it answers; a torn end is first taken off its file.

        It ends with the thread that calls this.

        Raises:
            SettingsError: If it does not.
        """
        try:
            self._launch()
        except SettingsError:
            mended = append_only_file.mend(self._server, self._folder, self._log())
            if mended is None:
                raise
            print(f"{self._server.name} on port {self.port}: {mended}", file=sys.stderr, flush=True)
            self._launch()
        return self

    def client(self) -> redis.Redis:
        """Return a plain client of this one server, which repeats nothing and follows nobody."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            password=self._password.text if self._password else None,
            protocol=2,
            socket_timeout=REPLY_TIMEOUT_S,
            socket_connect_timeout=REPLY_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    def _launch(self) -> None:
        log = self._folder / "redis.log"
        self._log_begin = log.stat().st_size if log.exists() else 0
        with tempfile.TemporaryFile() as configuration:
            configuration.write(b"\n".join(path.read_bytes() for path in self._configuration))
            if self._password is not None:
                configuration.write(f"\n{self._password.in_configuration}".encode())
            configuration.seek(0)
            # Its own session: Ctrl-C must reach those that write before it reaches what they
            # write to. The settings go to its standard input, since Redis 7.0 takes a path with
            # [ in it for a pattern, and starts without any when that fits no file; and since
            # everybody on the machine sees its arguments.
            self.process = subprocess.Popen(
                [self._server, "-", *self._arguments],
                stdin=configuration,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=end_with_parent,
                umask=0o077,
            )
        give_up = monotonic() + START_TIMEOUT_S
        with self.client() as client:
            while self.process.poll() is None and monotonic() < give_up:
                if _answers(client, self.process.pid):
                    return
                sleep(0.02)
        self.stop()
        last_words = "".join(self._log().splitlines()[-1:]) or "nothing"
        raise SettingsError(f"{self._server.name} did not start; {log} says: {last_words}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process; with SIGTERM it writes everything to disk first."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _log(self) -> str:
        """Return what it has logged since it was last started."""
        try:
            with (self._folder / "redis.log").open("rb") as log:
                log.seek(self._log_begin)
                return log.read().decode(errors="replace").strip()
        except OSError:
            return ""


def _answers(client: redis.Redis, pid: int) -> bool:
    """Return whether a server has loaded its data; and is the one that was started, no other."""
    try:
        return client.ping() and client.info("server")["process_id"] == pid
    except RedisError:
        return False


def end_with_parent() -> None:
    """Let a child process get SIGTERM when its parent dies, however it dies (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
