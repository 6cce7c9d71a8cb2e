"""``ops/run`` works on a system that lacks what only Linux has, as macOS does."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.local.redis_server import end_with_parent
from tests.support.runs import Run, curl, installed_in

NOT_LINUX = """
import builtins
import os
import select
import signal
import socket
import sys
import sysconfig
import types

LINUX_ONLY = {
    os: "sched_getaffinity sched_setaffinity waitid pidfd_open eventfd memfd_create pipe2 splice "
    "copy_file_range posix_fadvise posix_fallocate getrandom setresuid getresuid fdatasync "
    "O_DIRECT O_TMPFILE O_PATH setns unshare accept4",
    select: "epoll",
    signal: "sigtimedwait sigwaitinfo pidfd_send_signal",
    socket: "SOCK_CLOEXEC SOCK_NONBLOCK SO_BINDTODEVICE TCP_USER_TIMEOUT TCP_QUICKACK "
    "TCP_DEFER_ACCEPT TCP_CORK SO_INCOMING_CPU AF_NETLINK AF_PACKET MSG_NOSIGNAL",
}
for module, names in LINUX_ONLY.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
        if name in getattr(module, "__all__", ()):
            module.__all__.remove(name)

# zoneinfo asks how Python was built, of which this machine has only what Linux needs.
sysconfig.get_config_vars()
sys.platform = "darwin"
proxies = types.ModuleType("_scproxy")  # urllib asks macOS for them
proxies._get_proxy_settings = proxies._get_proxies = dict
sys.modules["_scproxy"] = proxies

real_open = builtins.open


def open_elsewhere(file, *arguments, **named):
    if str(file).startswith("/proc"):
        raise FileNotFoundError(file)
    return real_open(file, *arguments, **named)


builtins.open = open_elsewhere
"""
"""Each Python below reads it as sitecustomize before anything else."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Yield all processes, as ``ops/run`` starts them once it has made its environment."""
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "sitecustomize.py").write_text(NOT_LINUX, "utf-8")
    installed_in(tmp_path)
    run = Run(
        tmp_path,
        METRICS_DATA_DIR=str(tmp_path / "data"),
        PYTHONPATH=str(tmp_path / "lacking"),
    )
    yield run
    run.kill()


def test_it_needs_nothing_that_only_linux_has(run: Run) -> None:
    """ops/run starts, takes a message and stops without anything that only Linux has."""
    run.wait_until_ready()

    assert curl(f"localhost:{run.port}/messages", "-d", "a,1") == '{"accepted":1,"rejected":0}'
    assert run.stop() == 0
    assert "Traceback" not in run.output


def test_only_linux_is_asked_to_end_a_child_with_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only on Linux a child asks the system to end it with its parent."""

    def no_library(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    monkeypatch.setattr(sys, "platform", "darwin")
    end_with_parent()
    monkeypatch.setattr(sys, "platform", "linux")

    with pytest.raises(AssertionError):
        end_with_parent()
