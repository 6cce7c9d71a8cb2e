"""Values that jobs of RQ and Celery record are delivered once."""

from ops.local.redis_server import EmbeddedRedis
from ops.local.waiting import wait_until
from tests.client.apps.jobs import JOBS
from tests.support.fake_collector import FakeCollector
from tests.support.scenarios import run, running

OF_EACH = [float(number) for number in range(JOBS)]


def test_children_of_celerys_pool_deliver_when_they_end(
    own_redis: EmbeddedRedis, fake: FakeCollector
) -> None:
    """Children of Celery's pool that end after one task deliver its value once."""
    with running("jobs.py", "celery", own_redis.url, fake.url):
        wait_until(lambda: len(fake.values("jobs")) >= JOBS)

    assert sorted(fake.values("jobs")) == OF_EACH


def test_a_job_of_rq_that_flushes_delivers(own_redis: EmbeddedRedis, fake: FakeCollector) -> None:
    """A job of RQ that flushes delivers its value once, although ``os._exit`` ends its process."""
    run("jobs.py", "work_and_flush", own_redis.url, fake.url)

    assert sorted(fake.values("jobs")) == OF_EACH


def test_jobs_of_rq_that_do_not_flush_send_nothing_twice(
    own_redis: EmbeddedRedis, fake: FakeCollector
) -> None:
    """A job of RQ that does not flush sends no value twice."""
    run("jobs.py", "work", own_redis.url, fake.url)

    assert len(set(fake.values("jobs"))) == len(fake.values("jobs"))
