"""Simulated processes: real code in greenlets, of which one runs at a time, until it pauses.

Whose turn is next is drawn from the seed. So any two round trips of different processes may come
in either order, and the same seed gives the same order again.
"""

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from greenlet import getcurrent, greenlet

NEVER = math.inf


class Killed(BaseException):
    """``kill -9``: thrown into all that a process does, which then does nothing more."""


@dataclass(slots=True, eq=False)
class Task:
    """One thing that a process does, beside others.

    Attributes:
        thread: What runs it.
        due: Step at which it goes on, whatever it waits for.
        is_ready: Whether it goes on before that.
    """

    thread: greenlet
    due: float = 0
    is_ready: Callable[[], bool] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has returned, or was killed."""
        return bool(self.thread.dead)


@dataclass(slots=True, eq=False)
class _Turn:
    process: "Process"
    task: Task


class Process:
    """What is killed, or stopped for a while, as a whole.

    Attributes:
        name: For the trace.
        tasks: What it does.
        stopped_until: Step until which it does nothing, as after a SIGSTOP.
        is_crashed: Whether it must be killed, and begun again.
        failure: What it raised, if that is why.
    """

    def __init__(self, scheduler: "Scheduler", name: str) -> None:
        self.name = name
        self.tasks: list[Task] = []
        self.stopped_until = 0
        self.is_crashed = False
        self.failure = ""
        self._scheduler = scheduler
        scheduler.processes.append(self)

    def boot(self) -> None:
        """Begin, or begin again after it was killed."""
        raise NotImplementedError

    def start(self, run: Callable[[], None]) -> None:
        """Let it do something more."""
        self.tasks = [task for task in self.tasks if not task.is_over]
        self.tasks.append(Task(greenlet(lambda: self._run(run), self._scheduler.thread)))

    def kill(self) -> None:
        """End all that it does, at the point where it is. Not to be called from a task."""
        for task in self.tasks:
            if task.thread:  # it has begun, and is not over
                task.thread.throw(Killed)
        self.tasks = []
        self.stopped_until = 0
        self.is_crashed = False
        self.failure = ""

    def _run(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Killed:
            pass
        except Exception:  # noqa: BLE001  (whatever the real code raises is a finding)
            self.is_crashed = True
            self.failure = traceback.format_exc()


@dataclass(slots=True, eq=False)
class Scheduler:
    """Lets one task go on at a time, and keeps the time. Made where it will be called.

    Attributes:
        random: Draws whose turn is next.
        now: The true time, in Unix seconds.
        step_s: How much time passes with a step, on average.
        constancy: How probable it is that the same task goes on, if it can.
        steps: How many there were.
        processes: All of them.
    """

    random: Random
    now: float
    step_s: float
    constancy: float
    steps: int = 0
    processes: list[Process] = field(default_factory=list)
    thread: greenlet = field(default_factory=getcurrent)
    _turn: _Turn | None = None

    def pause(self) -> None:
        """Let others have their turn. Nothing happens outside of a task."""
        self._wait(0, None)

    def sleep(self, steps: int) -> None:
        """Let others have so many steps."""
        self._wait(self.steps + steps, None)

    def wait_until(self, is_ready: Callable[[], bool], due: float = NEVER) -> None:
        """Wait for something, or until a step."""
        self._wait(due, is_ready)

    def step(self) -> Process | None:
        """Let one task go on until it pauses; return its process, None if all of them wait."""
        self.steps += 1
        self.now += self.random.uniform(0, 2 * self.step_s)
        turns = [
            _Turn(process, task)
            for process in self.processes
            if process.stopped_until <= self.steps
            for task in process.tasks
            if self._is_ready(task)
        ]
        if not turns:
            return None
        turn = self.random.choice(turns)
        if self._turn is not None and self.random.random() < self.constancy:
            last = self._turn.task
            turn = next((each for each in turns if each.task is last), turn)
        self._turn = turn
        turn.task.thread.switch()
        return turn.process

    def _is_ready(self, task: Task) -> bool:
        if task.is_over:
            return False
        return task.due <= self.steps or (task.is_ready is not None and task.is_ready())

    def _wait(self, due: float, is_ready: Callable[[], bool] | None) -> None:
        if self._turn is None or getcurrent() is self.thread:
            return
        self._turn.task.due = due
        self._turn.task.is_ready = is_ready
        self.thread.switch()
