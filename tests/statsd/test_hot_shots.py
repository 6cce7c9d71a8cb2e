"""What hot-shots sends, the client of node's services, is counted, each timing once."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.statsd.running import running
from tests.support.fake_collector import FakeCollector

INSTALL = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "hot-shots@17.1.1")
INSTALL_TIMEOUT_S = 120
SEND_TIMEOUT_S = 60

SEND = """
const { StatsD } = require("hot-shots");
const port = Number(process.argv[1]);
const plain = new StatsD({ port, prefix: "hot.", globalTags: { env: "test" } });
const many = { maxBufferSize: 1000, bufferFlushInterval: 10 };
const buffered = new StatsD({ port, prefix: "buffered.", ...many });
for (let number = 0; number < 100; number++) {
  plain.timing("timing", number, { route: "/a" });
  plain.distribution("distribution", number);
  plain.increment("requests");
  buffered.histogram("histogram", number);
}
plain.timing("sampled", 8, 1);
plain.close(() => buffered.close());
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in which node finds hot-shots, or skip where it cannot be had."""
    if shutil.which("npm") is None:
        _skip("there is no npm")
    try:
        subprocess.run(
            INSTALL, cwd=tmp_path, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        _skip(f"npm does not install it: {error}")
    return tmp_path


def _skip(reason: str) -> None:
    pytest.skip(f"NOT TESTED with hot-shots: {reason}")


def test_everything_that_is_sent_is_counted_once(folder: Path, fake: FakeCollector) -> None:
    """Timings, distributions and histograms are counted once, one by one or many in a datagram."""
    with running(folder, fake.url) as agent:
        subprocess.run(
            ["node", "-e", SEND, str(agent.port)], cwd=folder, check=True, timeout=SEND_TIMEOUT_S
        )
        assert agent.end() == 0

    for name in ("hot.timing", "hot.distribution", "buffered.histogram"):
        assert sorted(fake.values(name)) == list(range(100)), name
    assert fake.values("hot.sampled") == [8]
    assert fake.dropped("agent") == 0
