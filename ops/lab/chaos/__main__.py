"""Chaos: real processes on a real Redis, broken again and again, and not one message miscounted.

Clients keep a ledger of what they send while faults are injected in an order that the seed gives;
then the ledger and all that was counted are compared, exactly. With ``--load apps`` those who send
are apps with our client library, each a process with all collectors' URLs: one collector at a time
is killed and started again; or with ``--away`` all are away at once, and then every other app has
a buffer that is too small for that. Ends with one line, PASS or FAIL.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from math import inf
from pathlib import Path

from metrics.errors import SettingsError
from ops.lab.certificates import Certificates
from ops.lab.chaos.apps.fleet import Fleet, specs_of
from ops.lab.chaos.catalogue import Fault, faults_around_apps, faults_of
from ops.lab.chaos.clients import Clients
from ops.lab.chaos.one_redis import OneRedis
from ops.lab.chaos.run import Run
from ops.lab.chaos.six_nodes import SixNodes
from ops.lab.chaos.system import ChaosSystem
from ops.lab.chaos.verdict import Verdict
from ops.local.redis_server import find_server, is_valkey, version_of
from ops.local.server_wheels import ALL, servers_in
from ops.local.signals import interrupt_on_signals

SECONDS = 60.0
EVERY_S = 3.0
CALM_S = 5.0
APPS = 8
RATE = 200.0
PAUSE_MAX_S = 20.0
PAUSE_SHARE = 1 / 15
"""How long a single Redis is stopped at a time, if it is not told: a share of the run."""

FINDINGS_SHOWN = 20
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Do a run; return 0 for PASS, 1 for FAIL, 2 if it cannot be done as it is asked for."""
    options = _options(arguments)
    interrupt_on_signals()
    folder = Path(tempfile.mkdtemp(prefix="metrics-chaos-"))
    try:
        verdict = _run(options, folder)
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        print("ops.lab.chaos: interrupted", file=sys.stderr)
        return INTERRUPTED
    except SettingsError as error:
        shutil.rmtree(folder)
        print(f"ops.lab.chaos: {error}", file=sys.stderr)
        return 2
    _tell(verdict, folder)
    return verdict.status


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.lab.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of faults")
    parser.add_argument("--count", type=int, help="of faults, however many seconds they take")
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between two faults")
    parser.add_argument("--on", choices=("redis", "cluster"), default="redis")
    parser.add_argument("--tls", action="store_true", help="reach a single Redis over TLS")
    parser.add_argument("--server", help="6.2, 7.0, 8, valkey, or what version there is")
    parser.add_argument("--faults", default="", help="names with commas between them; else all")
    parser.add_argument("--pause", type=float, help="seconds for which a single Redis is stopped")
    parser.add_argument("--source", type=Path, help="folder with a metrics package to use instead")
    parser.add_argument("--load", choices=("requests", "apps"), default="requests")
    parser.add_argument("--away", type=float, help="of apps: seconds without any collector")
    parser.add_argument("--calm", type=float, default=CALM_S, help="of apps: seconds before that")
    parser.add_argument("--apps", type=int, default=APPS, help="how many")
    parser.add_argument("--rate", type=float, default=RATE, help="values a second of each app")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, folder: Path) -> Verdict:
    server = _server(options.server)
    print(f"seed {options.seed} on {options.on}; logs are in {folder}", flush=True)
    data = folder / "redis"
    data.mkdir()
    with ExitStack() as stack:
        redis = stack.enter_context(closing(_redis(options, server, data)))
        redis.start()
        system = stack.enter_context(closing(ChaosSystem(redis, folder, source=options.source)))
        load, faults = _load(options, system, folder)
        stack.callback(load.leave)
        chosen = _chosen(faults, options.faults)
        system.start()
        run = Run(system, load, seed=options.seed, say=_say)
        count = 1 if options.away else options.count
        seconds = inf if count else options.seconds
        return run.execute(chosen, seconds=seconds, every_s=options.every, count=count)


def _redis(options: argparse.Namespace, server: Path, data: Path) -> OneRedis | SixNodes:
    if options.on == "cluster":
        if options.tls:
            raise SettingsError("--tls is for a single Redis: --on redis")
        return SixNodes(server, data)
    return OneRedis(server, data, certificates=Certificates(data) if options.tls else None)


def _load(
    options: argparse.Namespace, system: ChaosSystem, folder: Path
) -> tuple[Clients | Fleet, dict[str, Fault]]:
    """Return who sends, and the faults around them."""
    if options.load == "apps":
        fleet = Fleet(
            specs_of(options.apps, options.rate, options.away),
            system.collector_urls,
            folder / "apps.log",
            calm_s=options.calm,
            source=options.source,
        )
        return fleet, faults_around_apps(system, options.away)
    clients = Clients(system, options.seed)
    pause_s = options.pause or min(PAUSE_MAX_S, options.seconds * PAUSE_SHARE)
    return clients, faults_of(system, clients, pause_s)


def _server(name: str | None) -> Path:
    if name is None:
        return find_server()
    there_are = []
    for server in chain([find_server()], servers_in(ALL)):
        version = ".".join(map(str, version_of(server)))
        product = "valkey" if is_valkey(server) else "redis"
        if name == product or f"{version}.".startswith(f"{name}."):
            return server
        there_are.append(f"{product} {version}")
    raise SettingsError(f"--server: there is no {name} on this machine, but {', '.join(there_are)}")


def _chosen(faults: Mapping[str, Fault], names: str) -> dict[str, Fault]:
    wanted = names.split(",") if names else list(faults)
    unknown = [name for name in wanted if name not in faults]
    if unknown:
        raise SettingsError(
            f"--faults: {', '.join(unknown)}: the faults here are {', '.join(faults)}"
        )
    return {name: faults[name] for name in wanted}


def _say(text: str) -> None:
    print(text, flush=True)


def _tell(verdict: Verdict, folder: Path) -> None:
    """Tell what was found, and last of all the verdict; the folder stays if it is FAIL."""
    if verdict.findings:
        for finding in verdict.findings[:FINDINGS_SHOWN]:
            _say(finding.text)
        (folder / "findings.txt").write_text(
            "".join(f"{finding.text}\n" for finding in verdict.findings), "utf-8"
        )
        _say(f"{len(verdict.findings)} findings, and the logs, are in {folder}")
    else:
        shutil.rmtree(folder)
    _say(str(verdict))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
