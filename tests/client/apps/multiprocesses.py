"""An app of several processes: ``multiprocesses.py <method> <way> <tasks> <collector>``.

The client is made where the module is read, as apps do: where a child is forked it inherits that of
its parent, elsewhere it makes its own.
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import tests.client.apps.patience  # noqa: F401  (for what it sets)
from metrics import Client

CHILDREN = 3
"""At a time: each has two seconds for its delivery, on a busy machine as well."""

client = Client(sys.argv[-1], flush_seconds=60.0)
"""So what arrives was delivered by the end of a process."""


def work(number: int) -> None:
    """Record one value, and leave it to the end of the process to deliver it."""
    client.record("children", number)


def main(method: str, way: str, tasks: str) -> None:
    """Share the work among a few children, while a value of the parent waits."""
    numbers = range(int(tasks))
    context = multiprocessing.get_context(method)
    client.record("parent", 1)
    if way == "process":
        for first in numbers[::CHILDREN]:
            some = numbers[first : first + CHILDREN]
            processes = [context.Process(target=work, args=(number,)) for number in some]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
                assert process.exitcode == 0
    elif way == "pool":
        pool = context.Pool(CHILDREN)
        pool.map(work, numbers, chunksize=1)
        pool.close()
        pool.join()
    else:
        with ProcessPoolExecutor(CHILDREN, mp_context=context) as executor:
            list(executor.map(work, numbers))


if __name__ == "__main__":
    main(*sys.argv[1:4])
