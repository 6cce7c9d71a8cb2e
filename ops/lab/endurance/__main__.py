"""Endurance: good and bad requests for minutes or hours, and no process holds more at the end.

``python -m ops.lab.endurance --minutes 10``. Two collectors, a worker and the query service run on
a Redis Cluster of six nodes, with tokens. A short trial finds the most that they take; then half of
it is sent, one request in twenty bad. Tokens rotate every minute, a master dies at a third of the
time, and at a sixth and at half of it each process is replaced. Exit 1 if memory, descriptors,
sockets, threads, greenlets or clients of Redis grow or do not come back, or if not all that was
accepted is counted, once. (``ops.lab.bench.soak`` is about speed.)
"""

import argparse
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from math import inf
from pathlib import Path
from random import Random

from ops.lab.chaos.six_nodes import SixNodes
from ops.lab.endurance.events import Events, Tokens
from ops.lab.endurance.probe import FOLDER, LEAK, LEAKS
from ops.lab.endurance.requests import BODY_BYTES_MAX
from ops.lab.endurance.run import Run
from ops.lab.endurance.sender import Orders
from ops.lab.machine import described, load_average
from ops.lab.service import Service, procfile
from ops.lab.system import System
from ops.local.redis_server import find_server
from ops.local.signals import interrupt_on_signals

APP = "endurance"
GOOD = ("good", "unkeyed", "query")
KEYS = 12
CONNECTIONS = 16
TRIAL_S = 20.0
DEDUPE_S = 120
"""With the usual 900 s the memory of Redis would grow for the first quarter of an hour."""


def main(arguments: Sequence[str]) -> int:
    """Do a run; return 0 if all holds, 1 if not."""
    options = _options(arguments)
    interrupt_on_signals()
    folder = Path(tempfile.mkdtemp(prefix="metrics-endurance-"))
    _say(f"{described()}; {load_average()}")
    _say(f"seed {options.seed}; logs are in {folder}")
    with ExitStack() as stack:
        complaints = _run(options, folder, stack)
    for complaint in complaints:
        _say(f"FAILED: {complaint}")
    _say("FAIL" if complaints else "PASS")
    if not complaints:
        shutil.rmtree(folder)
    return 1 if complaints else 0


def _run(options: argparse.Namespace, folder: Path, stack: ExitStack) -> Sequence[str]:
    random = Random(options.seed)  # noqa: S311
    write, read = Tokens.drawn(folder, "write"), Tokens.drawn(folder, "read")
    (folder / "redis").mkdir()
    six = stack.enter_context(closing(SixNodes(find_server(), folder / "redis"))).start()
    system = stack.enter_context(closing(_system(six, folder, write, read, options.leak or "")))
    system.start()
    run = Run(Events(system, six.cluster, write, read, random), folder, _say)
    trial = Orders(
        port=system.collectors[0].port,
        ports=[each.port for each in system.collectors],
        query_port=system.query.port,
        token_files=(str(write.sender_file), str(read.sender_file)),
        app=APP,
        keys=KEYS,
        bad=options.bad,
        seed=options.seed,
        connections=CONNECTIONS,
        messages_per_s=inf,
        seconds=TRIAL_S,
        tick_s=30.0,
        ledger_file=str(folder / "trial.json"),
    )
    most = run.trial(trial)
    rate = most * options.share
    _say(f"at most {most:,.0f} messages/s; {rate:,.0f} are sent, {options.share:.0%} of them")
    run.endure(
        replace(
            trial,
            messages_per_s=rate,
            seconds=options.minutes * 60,
            seed=options.seed + 1,
            ledger_file=str(folder / "ledger.json"),
        )
    )
    _say(f"\n{run.table()}\n")
    bad = sum(n for kind, n in run.requests.items() if kind not in GOOD)
    _say(
        f"| {options.minutes:g} | {most:,.0f} | {rate:,.0f} | {run.requests.total():,} | {bad:,} | "
        f"{run.accepted.total():,} | {'FAIL' if run.complaints else 'PASS'} |; {load_average()}"
    )
    return run.complaints


def _system(six: SixNodes, folder: Path, write: Tokens, read: Tokens, leak: str) -> System:
    commands = procfile()
    environ = {
        "METRICS_WAIT_REPLICAS": str(six.replicas),
        "METRICS_DEDUPE_SECONDS": str(DEDUPE_S),
        "METRICS_MAX_BODY_BYTES": str(BODY_BYTES_MAX),
        "METRICS_WRITE_TOKENS_FILE": str(write.service_file),
        "METRICS_READ_TOKENS_FILE": str(read.service_file),
        FOLDER: str(folder),
        LEAK: leak,
    }
    system = System(six, folder, collectors=2, workers=1, environ=dict.fromkeys(commands, environ))

    def probed(name: str, label: str) -> Service:
        command = commands[name].replace(f"api.{name}:get_app", f"ops.lab.endurance.probe:{name}")
        return system.service(name, label, command)

    system.collectors = [probed("collector", each.label) for each in system.collectors]
    system.query = probed("query", system.query.label)
    return system


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ops.lab.endurance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--share", type=float, default=0.5, help="of the most that they take")
    parser.add_argument("--bad", type=float, default=0.05, help="share of bad requests")
    parser.add_argument("--leak", choices=[*LEAKS], help="let collectors leak, to see it noticed")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
