"""A database that people would pick instead: one process, asked over HTTP."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ops.lab.bench.ingest.bodies import Form
from ops.lab.bench.ingest.workload import Shape
from ops.local.redis_server import end_with_parent
from ops.local.waiting import wait_until

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 60.0
"""They write what they have in memory first."""

VISIBLE_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 60.0


class Peer:
    """One of them.

    Args:
        name: What it is called.
        port: Where it will listen.
        command: What starts it.
        environ: What it gets as its environment, besides ``PATH``.
        log: The file that it writes to.
        ping: The path that answers once it is up.
        forms: In which it takes messages.
        ask_count: Asks it how many messages of some keys it has.
        on_start: What to do when it answers.
    """

    def __init__(
        self,
        name: str,
        *,
        port: int,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        ping: str,
        forms: Mapping[Shape, Sequence[Form]],
        ask_count: Callable[["Peer", Sequence[str]], int],
        on_start: Callable[["Peer"], None],
    ) -> None:
        self.name = name
        self.port = port
        self.forms = forms
        self._command = command
        self._environ = environ
        self._log = log
        self._ping = ping
        self._ask_count = ask_count
        self._on_start = on_start
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def processes(self) -> Mapping[str, int]:
        """The one that it is."""
        return {self._command[0]: self._process.pid} if self._process else {}

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", **self._environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        try:
            wait_until(self._is_up, START_TIMEOUT_S, f"{self.name} answers")
            self._on_start(self)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)
        self._process = None

    def drain(self) -> None:
        """Wait for nothing: what it has answered is done, as far as it can be told."""

    def accepted(self) -> int:
        """Return 0: neither tells this in a way that can be compared."""
        return 0

    def counted(self, keys: Sequence[str], at_least: int) -> int:
        """Return how many messages of some keys a query finds; both show them a little later."""
        count = 0

        def is_enough() -> bool:
            nonlocal count
            count = self._ask_count(self, keys)
            return count >= at_least

        try:
            wait_until(is_enough, VISIBLE_TIMEOUT_S, f"{self.name} shows what it took")
        except TimeoutError:
            return count
        return count

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401  (as JSON has it)
        """Return what it answers, decoded."""
        return json.loads(self._ask(f"{path}?{urllib.parse.urlencode(query)}"))

    def post(self, path: str, **form: str) -> None:
        """Post a form."""
        self._ask(path, urllib.parse.urlencode(form).encode())

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, body, ANSWER_TIMEOUT_S) as answer:
            found: bytes = answer.read()
        return found

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} has ended: {self._log.read_text('utf-8')[-2000:]}")
        try:
            self._ask(self._ping)
        except (OSError, urllib.error.URLError):
            return False
        return True


def is_installed(program: str) -> bool:
    """Return whether a program is on the PATH."""
    return shutil.which(program) is not None
