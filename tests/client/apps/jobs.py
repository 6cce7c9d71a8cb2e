"""Jobs of RQ and of Celery, each of which records one value: ``jobs.py <way> <Redis> <collector>``.

Their children end by ``os._exit``, which no exit function sees.
"""

import sys
import warnings

from metrics import Client

JOBS = 10

IS_SCRIPT = sys.argv[0] == __file__
client = Client(
    sys.argv[3] if IS_SCRIPT else "http://unused", flush_seconds=30.0, enabled=IS_SCRIPT
)
"""So nothing arrives that waits for its time."""


def work(number: int) -> None:
    """Record a value, and leave the rest to the end of the process."""
    client.record("jobs", number)


def work_and_flush(number: int) -> None:
    """Record a value, and flush."""
    client.record("jobs", number)
    assert client.flush(60)


def rq(job: str, url: str) -> None:
    """Run jobs in RQ's work-horses, a process each."""
    from redis import Redis
    from rq import Queue, Worker

    with Redis.from_url(url) as redis:
        queue = Queue(connection=redis)
        for number in range(JOBS):
            queue.enqueue(globals()[job], number)
        Worker([queue], connection=redis).work(burst=True, logging_level="ERROR")


def celery(url: str) -> None:
    """Run tasks in Celery's pool, each child of which ends after one."""
    import celery as celery_

    warnings.simplefilter("ignore")  # it warns whoever is root
    app = celery_.Celery("jobs", broker=url)
    app.conf.worker_max_tasks_per_child = 1
    task = app.task(name="work")(work)
    for number in range(JOBS):
        task.delay(number)
    app.worker_main(["worker", "--concurrency", "4", "--loglevel", "ERROR", "--without-gossip"])


if __name__ == "__main__":
    import tests.client.apps.patience  # noqa: F401  (for what it sets)

    way, redis_url, _ = sys.argv[1:]
    if way == "celery":
        celery(redis_url)
    else:
        # RQ names a job by its module.
        sys.modules["tests.client.apps.jobs"] = sys.modules[__name__]
        for each in (work, work_and_flush):
            each.__module__ = "tests.client.apps.jobs"
        rq(way, redis_url)
