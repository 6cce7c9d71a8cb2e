"""Writes ``ops/requirements/`` anew: the exact versions that are installed, with their hashes.

``uv`` finds the versions, once for all extras of ``pyproject.toml``, all Pythons and all platforms.
Those that a file has stay, as long as they fit; its own options say which are to change:

    python -m ops.lab.pins
    python -m ops.lab.pins --upgrade-package falcon
    python -m ops.lab.pins --upgrade
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.local.server_wheels import ALL

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "ops" / "requirements"

LAYERS: Mapping[str, tuple[str, ...]] = {
    "server": ("cli", "server"),
    "run": ("run",),
    "dev": ("dev",),
    "fuzz": ("fuzz",),
}
"""The extras of each file. It includes the file before it, and has what that does not."""

FOR_EDITABLE = "editables>=0.5,<1"
"""What hatchling asks for beside itself when it builds ``--editable``."""

HEADER = "# Written by python -m ops.lab.pins.\n"


def compiled(extras: Sequence[str], more: Sequence[str], *options: str) -> str:
    """Return the versions that uv takes for some extras, and for requirements beside them."""
    done = subprocess.run(
        [
            *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
            *("--no-header", "--no-annotate", *(f"--extra={extra}" for extra in extras)),
            *options,
            *("pyproject.toml", "-"),
        ],
        cwd=ROOT,
        input="\n".join(more),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def pins_of(text: str) -> dict[str, str]:
    """Return the pin of each project: a line with its version, and lines with its hashes."""
    return {pin[1]: pin[0] for pin in re.finditer(r"^([\w.-]+)==.*\n(?:    .*\n)*", text, re.M)}


def write(name: str, text: str) -> None:
    """Write a file of the folder."""
    (FOLDER / f"{name}.txt").write_text(HEADER + text, "utf-8")


def main(options: Sequence[str]) -> int:
    """Find the versions and write the files; ``options`` are those of ``uv pip compile``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    builds: list[str] = [*project["build-system"]["requires"], FOR_EDITABLE]
    servers = [wheel.project for wheel in ALL]
    before = "".join(file.read_text("utf-8") for file in sorted(FOLDER.glob("*.txt")))
    with tempfile.TemporaryDirectory() as folder:
        every = Path(folder) / "every.txt"
        every.write_text("".join(pins_of(before).values()), "utf-8")
        output = ("--generate-hashes", f"--output-file={every}")
        compiled(LAYERS["fuzz"], [*builds, *servers], *output, *options)
        pins = pins_of(every.read_text("utf-8"))
        for server in servers:
            write(server, pins[server])
        included = ""
        for layer, extras in LAYERS.items():
            # What it has is told by this; with which markers, by what all of them need together.
            found = pins_of(compiled(extras, builds, f"--constraint={every}"))
            write(layer, included + "".join(pins.pop(name) for name in found if name in pins))
            included = f"--requirement {layer}.txt\n"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
