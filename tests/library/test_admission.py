"""Admission lets a few in at once, lets a few wait, and refuses the others."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from metrics.admission import Admission
from metrics.errors import OverloadedError
from ops.local.waiting import wait_until


def test_a_few_are_let_in_a_few_wait_and_the_next_is_refused() -> None:
    """One more than may be inside and may wait is refused; who waits is let in when one leaves."""
    admission = Admission("large questions", at_once=2, waiting_max=1, wait_s=30)
    inside: list[int] = []
    ends = [Event() for _ in range(3)]

    def work(number: int) -> int:
        with admission:
            inside.append(number)
            ends[number].wait(30)
        return number

    with ThreadPoolExecutor(3) as threads:
        works = [threads.submit(work, number) for number in range(2)]
        wait_until(lambda: len(inside) == 2)
        works.append(threads.submit(work, 2))
        wait_until(lambda: admission.waiting == 1)

        with pytest.raises(OverloadedError, match="too many large questions at once"), admission:
            pytest.fail("it was let in")
        assert sorted(inside) == [0, 1]
        ends[0].set()
        wait_until(lambda: len(inside) == 3)
        for end in ends:
            end.set()
        assert [each.result() for each in works] == [0, 1, 2]

    with admission, admission:
        pass


def test_nobody_waits_for_longer_than_told() -> None:
    """Who waits longer than `wait_s` is refused, and a failure leaves its place to others."""
    admission = Admission("large questions", at_once=1, waiting_max=5, wait_s=0.05)

    with admission, pytest.raises(OverloadedError), admission:
        pytest.fail("it was let in")
    with pytest.raises(ZeroDivisionError), admission:
        raise ZeroDivisionError
    with admission:
        assert admission.waiting == 0
