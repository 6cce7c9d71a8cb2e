"""``status``: whether the pipeline is well, from what lies in Redis."""

import time
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.text import Text

from metrics.audit import PartitionAudit, read_audits
from metrics.cli import options, pipeline, screen
from metrics.cli.failures import NoAnswerError
from metrics.cli.health import Consumer, Health, problems
from metrics.cli.pipeline import Pipeline
from metrics.connection import Connection, command
from metrics.errors import MetricsError, StorageUnavailableError
from metrics.hours import Hour
from metrics.keyspace import GROUP, PartitionNames
from metrics.layout import fields_of
from metrics.node import Reply


@click.command()
@click.option(
    "--age-max",
    "age_max_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds that the oldest entry of the backlog may have waited.",
)
@options.as_json
def status(age_max_s: float, *, is_json: bool) -> None:
    """Show backlog, workers, dead letters, audit, layout and keys, from REDIS_URL.

    Exit status 0: all is well. 1: it is not; lines say what. 2: bad usage.
    """
    try:
        with pipeline.opened() as found:
            health = read_health(found)
            limits = found.settings
    except (NoAnswerError, StorageUnavailableError) as error:
        _print_away(str(error), is_json=is_json)
        click.get_current_context().exit(1)
    wrong = problems(
        health,
        age_max_s=age_max_s,
        backlog_limit=limits.backlog_limit_entries,
        keys_max=limits.keys_max,
        new_keys_max=limits.new_keys_per_hour,
    )
    if is_json:
        click.echo(screen.json_line({"healthy": not wrong, "problems": wrong, **_fields(health)}))
    else:
        console = screen.console()
        for text in wrong:
            console.print(Text(f"unhealthy: {text}", style="bold red"))
        if not wrong:
            console.print(Text("healthy", style="bold green"))
        console.print(screen.table(["", ""], _rows(health)))
    click.get_current_context().exit(1 if wrong else 0)


def read_health(found: Pipeline) -> Health:
    """Return what Redis says of the pipeline.

    Raises:
        NoAnswerError: If nothing has begun there.
        MetricsError: If Redis answers what it should not.
    """
    partitions = found.partitions
    names = [PartitionNames(number) for number in partitions]
    audits = read_audits(found.connection, partitions)
    expected = fields_of(len(partitions))
    return Health(
        audits=[each for each in audits.values() if isinstance(each, PartitionAudit)],
        unreadable={n: str(each) for n, each in audits.items() if isinstance(each, MetricsError)},
        oldest_s=_oldest_s(found.connection, names),
        consumers=_consumers(found.connection, names),
        dead_letters=_sum(found.connection, "XLEN", (each.dead for each in names)),
        layout=found.layout,
        expected_layout={
            name: value for name, value in expected.items() if found.layout.get(name) != value
        },
        keys=_sum(found.connection, "ZCARD", (each.keys for each in names)),
        new_keys=_new_keys(found.connection, names),
    )


def _sum(connection: Connection, count: str, names: Iterable[str]) -> int:
    """Return what a command counts, added up; those of partitions that are away are left out."""
    replies = connection.execute([command(count, name) for name in names])
    return sum(reply for reply in replies if isinstance(reply, int))


def _new_keys(connection: Connection, names: Iterable[PartitionNames]) -> int:
    """Return how many keys are new in this hour; those of partitions that are away are left out."""
    replies = connection.execute(
        [command("HMGET", each.audit, "new_keys_hour", "new_keys") for each in names]
    )
    this_hour = str(Hour.of(time.time()).digits).encode()
    counted = [reply[1] for reply in replies if isinstance(reply, list) and reply[0] == this_hour]
    return sum(int(each) for each in counted if each and each.isdigit())


def _oldest_s(connection: Connection, names: Sequence[PartitionNames]) -> float | None:
    replies = connection.execute(
        [command("XRANGE", each.stream, "-", "+", "COUNT", 1) for each in names]
    )
    # The id of an entry begins with the milliseconds at which it was appended.
    times = [
        int(reply[0][0].partition(b"-")[0]) / 1000
        for reply in replies
        if isinstance(reply, list) and reply
    ]
    return max(time.time() - min(times), 0.0) if times else None


def _consumers(connection: Connection, names: Sequence[PartitionNames]) -> list[Consumer]:
    replies = connection.execute(
        [command("XINFO", "CONSUMERS", each.stream, GROUP, key=each.stream) for each in names]
    )
    found: dict[str, Consumer] = {}
    for reply in replies:
        for info in reply if isinstance(reply, list) else []:
            each = _consumer(info)
            known = found.get(each.name, each)
            pending = each.pending + (known.pending if known is not each else 0)
            found[each.name] = Consumer(each.name, pending, min(each.idle_s, known.idle_s))
    return sorted(found.values(), key=lambda each: each.name)


def _consumer(info: Reply) -> Consumer:
    fields = dict(zip(info[::2], info[1::2], strict=True))
    name = fields[b"name"].decode(errors="replace")
    return Consumer(name, fields[b"pending"], fields[b"idle"] / 1000)


def _rows(health: Health) -> list[tuple[str, str]]:
    total = _totals(health)
    oldest = "-" if health.oldest_s is None else f"{health.oldest_s:.1f} s"
    workers = [
        (
            "" if i else "consumers",
            f"{each.name}: {each.pending} pending, idle for {each.idle_s:.1f} s",
        )
        for i, each in enumerate(health.consumers)
    ]
    return [
        ("backlog", f"{health.backlog} entries in {len(health.audits)} partitions"),
        ("oldest entry", oldest),
        *(workers or [("consumers", "none")]),
        ("dead letters", str(health.dead_letters)),
        (
            "audit",
            f"{total['appended']} entries appended = {total['committed']} committed "
            f"+ {total['dead']} dead + {health.backlog} in the backlog",
        ),
        ("layout", ", ".join(f"{name} {value}" for name, value in health.layout.items())),
        ("keys", f"{health.keys}, {health.new_keys} of them new in this hour"),
    ]


def _totals(health: Health) -> Mapping[str, int]:
    return {
        name: sum(getattr(audit, name) for audit in health.audits)
        for name in ("appended", "committed", "dead", "accepted", "applied", "dead_messages")
    }


def _fields(health: Health) -> dict[str, object]:
    return {
        "backlog": health.backlog,
        "oldest_seconds": health.oldest_s,
        "consumers": [
            {"name": each.name, "pending": each.pending, "idle_seconds": each.idle_s}
            for each in health.consumers
        ],
        "dead_letters": health.dead_letters,
        "audit": {
            "balance": all(audit.balance for audit in health.audits) and not health.unreadable,
            **_totals(health),
        },
        "layout": health.layout,
        "keys": health.keys,
        "new_keys": health.new_keys,
    }


def _print_away(why: str, *, is_json: bool) -> None:
    if is_json:
        click.echo(screen.json_line({"healthy": False, "problems": [why]}))
    else:
        click.echo(f"unhealthy: {why}")
