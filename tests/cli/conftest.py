"""What the commands speak to."""

from collections.abc import Iterator

import pytest

from tests.support.fake_collector import FakeCollector, fake_collector


@pytest.fixture(scope="module")
def collector() -> Iterator[FakeCollector]:
    """Yield a collector that is well, for the tests of a file."""
    with fake_collector() as collector:
        yield collector
