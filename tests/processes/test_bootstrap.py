"""``ops/bootstrap`` installs nothing whose hash is not known."""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ops.lab.service import ROOT
from tests.support.runs import environ

PARCEL = "parcel-1.0-py3-none-any.whl"


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Return a folder with bootstrap, what it reads, and an index that has one package."""
    (tmp_path / "ops" / "requirements").mkdir(parents=True)
    shutil.copy(ROOT / "ops" / "bootstrap", tmp_path / "ops")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "index").mkdir()
    with zipfile.ZipFile(tmp_path / "index" / PARCEL, "w") as archive:
        about = "parcel-1.0.dist-info"
        archive.writestr("parcel.py", "")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{about}/RECORD", "")
    # The pip of the tests: to unpack one takes longer than all the rest.
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/sh\n[ "$2" = venv ] && set -- -m venv --without-pip .venv\n'
        f'exec {sys.executable} "$@"\n',
        "utf-8",
    )
    python.chmod(0o755)
    return tmp_path


def test_a_package_that_is_not_known_by_its_hash_is_not_installed(fresh: Path) -> None:
    """A package with another hash than the pinned one is not installed, and lines say why."""
    pin = f"parcel==1.0 --hash=sha256:{64 * '0'}\n"
    (fresh / "ops" / "requirements" / "run.txt").write_text(pin, "utf-8")
    known = hashlib.sha256((fresh / "index" / PARCEL).read_bytes()).hexdigest()
    done = subprocess.run(
        ["/bin/sh", "-c", "extra=run; . ops/bootstrap", "ops/run"],
        cwd=fresh,
        env=environ(
            PATH=f"{fresh / 'bin'}:/usr/bin:/bin",
            PYTHONPATH=sysconfig.get_path("purelib"),
            PIP_CONFIG_FILE="/dev/null",
            PIP_NO_INDEX="1",
            PIP_FIND_LINKS=str(fresh / "index"),
        ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert known in done.stderr
    assert done.stderr.endswith(
        "ops/run: the packages could not be installed; pip's reason is above\n"
    )
    assert not list(fresh.glob(".venv/lib/*/site-packages/parcel*"))
