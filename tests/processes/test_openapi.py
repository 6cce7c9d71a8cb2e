"""Both services answer whatever schemathesis makes of their OpenAPI documents as these say."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ops.lab.service import ROOT, START_TIMEOUT_S, Service
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server

CASES = "tests/processes/openapi_cases.py"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run a collector and a query service, and return where each is."""
    redis = EmbeddedRedis(find_server(), port=free_port(), folder=tmp_path).start()
    log = tmp_path / "log"
    running = {
        "collector": Service("collector", redis.url, log).launch(),
        "query": Service("query", redis.url, log, METRICS_WRITE_TOKENS="any").launch(),
    }
    try:
        for each in running.values():
            each.wait_until_ready(START_TIMEOUT_S)
        yield {name: f"http://127.0.0.1:{each.port}" for name, each in running.items()}
    finally:
        for each in running.values():
            each.stop()
        redis.stop()


def operations_of(service: str) -> int:
    """Return how many operations the document of a service has."""
    document = json.loads((ROOT / "api" / service / "openapi.json").read_text("utf-8"))
    return sum(len(path.keys() - {"parameters"}) for path in document["paths"].values())


def test_the_services_answer_as_their_documents_say(services: dict[str, str]) -> None:
    """Each operation has answers, to any request, with a status and a body of its document."""
    urls = {f"{name.upper()}_URL": url for name, url in services.items()}
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "schemathesis.pytest.plugin", CASES),
            f"--hypothesis-profile={settings.get_current_profile_name()}",
        ],
        cwd=ROOT,
        env={**os.environ, **urls},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    operations = sum(map(operations_of, services))
    assert re.search(rf"^{operations} passed", run.stdout, re.MULTILINE), run.stdout
