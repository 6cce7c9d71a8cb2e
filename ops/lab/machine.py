"""What a benchmark ran on, and who else was busy there."""

import os
import platform
import re
from datetime import UTC, datetime

from ops.local.redis_server import find_server, version_of

_VERSION = re.compile(r"\bv?(\d+(?:\.\d+)+)")


def described() -> str:
    """Return date and size of this machine, and what ours runs on."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    redis = ".".join(map(str, version_of(find_server())))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores and {gigabytes:.0f} GB for all of it"
        f" and wrk; Python {platform.python_version()}, Redis {redis}"
    )


def load_average() -> str:
    """Return how many processes wanted a core in the last minute."""
    return f"load average {os.getloadavg()[0]:.2f}"


def version_in(text: str) -> str:
    """Return the version that a program has printed; nothing, if there is none in it."""
    found = _VERSION.search(text)
    return found[1] if found else ""
