"""Which fault comes when: the seed decides, and nothing else does."""

from collections.abc import Iterable, Iterator
from itertools import count
from random import Random


def schedule(names: Iterable[str], seed: int) -> Iterator[tuple[str, Random]]:
    """Yield the faults of a run without end: in every round each once, in an order of its own.

    Args:
        names: Of the faults, at least one.
        seed: Decides the order, and what each fault leaves open.

    Yields:
        The name of a fault, and what it may take its decisions from.
    """
    order = Random(f"{seed} order")  # noqa: S311
    number = count()
    each = sorted(set(names))
    while each:
        for name in order.sample(each, len(each)):
            yield name, Random(f"{seed} fault {next(number)}")  # noqa: S311
