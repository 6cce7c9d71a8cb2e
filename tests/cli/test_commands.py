"""Commands read their options, and end with words and a status that say what happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from metrics.cli import delivery
from metrics.cli.command_line import command_line
from metrics.cli.send import BODY_BYTES_MAX, LINE_BYTES_MAX
from ops.local.ports import free_port
from tests.support.fake_collector import NO_REPLY, FakeCollector, Request, refusing

COMMANDS = sorted(command_line.commands)


@pytest.fixture
def fake(collector: FakeCollector) -> FakeCollector:
    """Return the collector, which says how many lines it took."""
    collector.requests.clear()
    collector.answer = _taken
    return collector


def _taken(request: Request) -> tuple[int, dict[str, str], bytes]:
    return 202, {}, json.dumps({"accepted": len(request.raw.splitlines()), "rejected": 0}).encode()


def run(*arguments: str, stdin: str | bytes | None = None, **environ: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(command_line, arguments, input=stdin, env=environ)


def send(fake: FakeCollector, *arguments: str, stdin: str | bytes | None = None) -> Result:
    """Send messages."""
    return run(
        "send", "--wait", "0", *arguments, stdin=stdin, METRICS_COLLECTOR_URL=f" {fake.url}, "
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_used(name: str) -> None:
    """Each command has a --help, and --json."""
    groups = {"dead": ("list", "retry", "drop"), "token": ("new", "check")}

    for each in groups.get(name, ("",)):
        result = run(name, *each.split(), "--help")
        assert result.exit_code == 0
        assert "--json" in result.output


@pytest.mark.parametrize("missing", ["click", "rich", "redis"])
def test_without_the_extra_a_line_says_what_to_install(missing: str) -> None:
    """Without a package of the extra, one line says how to install it; the status is 2."""
    program = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; "
        "runpy.run_module('metrics', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"python -m metrics needs {missing}, which is not installed here: "
        "pip install 'metrics[cli]', or in a clone of the repository pip install '.[cli]'"
    ]


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("checkout.web-1", "98.1", "104.2"), b"checkout.web-1,98.1\ncheckout.web-1,104.2"),
        (("checkout.web-1,98.1", "checkout.web-2,7"), b"checkout.web-1,98.1\ncheckout.web-2,7"),
        (("checkout.web-1:98.1|ms|@0.1",), b"checkout.web-1:98.1|ms|@0.1"),
    ],
)
def test_messages_from_arguments_are_one_post(
    fake: FakeCollector, arguments: tuple[str, ...], body: bytes
) -> None:
    """A key with its values, or lines, are sent as lines in one request."""
    result = send(fake, *arguments)

    (request,) = fake.requests
    assert (result.exit_code, request.raw) == (0, body)
    assert request.headers["content-type"] == delivery.TEXT
    assert result.output == f"{len(body.splitlines())} accepted\n"


@pytest.mark.parametrize(
    ("stdin", "content_type"),
    [
        ("a,1\nb,2\n", delivery.TEXT),
        ('{"key":"a","value":1}\n{"key":"b","value":2}\n', delivery.JSON_LINES),
        ('[["a",1],\n["b",2]]', delivery.JSON),
    ],
)
def test_standard_input_is_lines_or_json(
    fake: FakeCollector, stdin: str, content_type: str
) -> None:
    """Lines, lines of JSON and an array are told apart by how they begin."""
    assert send(fake, stdin=stdin).exit_code == 0

    (request,) = fake.requests
    assert request.headers["content-type"] == content_type
    assert request.raw.strip() == stdin.strip().encode()


def test_long_input_is_sent_in_whole_lines_each_once(fake: FakeCollector) -> None:
    """What is too long for one request is sent in several, cut between lines, each once."""
    lines = "".join(f"checkout.web-1,{i}\n" for i in range(30_000))
    fake.script[:] = [refusing(503, stored="unknown")]
    result = run("send", "--wait", "60", stdin=lines, METRICS_COLLECTOR_URL=fake.url)

    sent = {request.key: request.raw for request in fake.requests}
    assert b"\n".join(sent.values()).decode() == lines.rstrip("\n")
    assert len(fake.requests) == len(sent) + 1 > 3
    assert "30000 accepted" in result.output


def test_one_idempotency_key_is_of_one_request(fake: FakeCollector) -> None:
    """With an Idempotency-Key all of the input is one request under it."""
    lines = "".join(f"checkout.web-1,{i}\n" for i in range(30_000))
    send(fake, "--idempotency-key", "build/4711", stdin=lines)

    assert [(each.key, each.raw) for each in fake.requests] == [("build/4711", lines.encode())]


def test_an_outcome_that_is_not_known_says_how_to_send_again(fake: FakeCollector) -> None:
    """When nobody answers, the text has the key under which the same counts once."""
    fake.script[:] = [lambda _: NO_REPLY]
    result = send(fake, "a", "1")

    assert result.exit_code == 2
    assert f"--idempotency-key {fake.requests[0].key}: it counts once" in result.output


def test_what_is_rejected_is_status_1(fake: FakeCollector) -> None:
    """Rejected messages are counted, the reason is said, and the status is 1."""
    fake.script[:] = [
        lambda _: (202, {}, b'{"accepted":1,"rejected":1,"errors":[{"detail":"value must be"}]}')
    ]
    result = send(fake, "a,1", "a,x", "--json")

    assert result.exit_code == 1
    assert result.stdout == '{"accepted":1,"rejected":1}\n'
    assert "value must be" in result.stderr


def test_what_waiting_does_not_mend_ends_at_once(fake: FakeCollector) -> None:
    """A wrong token or URL is said at once, whatever --wait is."""
    fake.script[:] = [refusing(401, title="Unauthorized")]
    result = run("send", "a", "1", "--wait", "600", METRICS_COLLECTOR_URL=fake.url)

    assert result.exit_code == 2
    assert "METRICS_TOKEN" in result.output


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("checkout.web-1",), None, "has no value"),
        ((), b"x" * (LINE_BYTES_MAX + 1), "a line has more than"),
        ((), b"[" + b"1" * BODY_BYTES_MAX, "more than"),
    ],
)
def test_what_cannot_be_sent_is_bad_usage(
    fake: FakeCollector, arguments: tuple[str, ...], stdin: bytes | None, said: str
) -> None:
    """A key without a value, an endless line and an array beyond all limits are status 2."""
    result = send(fake, *arguments, stdin=stdin)

    assert result.exit_code == 2
    assert said in result.output
    assert fake.requests == []


def test_a_token_comes_from_the_environment_or_a_file(fake: FakeCollector, tmp_path: Path) -> None:
    """A token is read from METRICS_TOKEN or a file, and no option takes it."""
    (tmp_path / "token").write_text("from-a-file\n")
    environ = {"METRICS_COLLECTOR_URL": fake.url, "METRICS_TOKEN": "from-the-environment"}
    run("send", "a", "1", **environ)
    run("send", "a", "1", **environ, METRICS_TOKEN_FILE=str(tmp_path / "token"))

    assert [request.headers["authorization"] for request in fake.requests] == [
        "Bearer from-the-environment",
        "Bearer from-a-file",
    ]
    assert "--token " not in run("send", "--help").output


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("", "is empty")])
def test_a_token_file_that_holds_none_is_said(
    tmp_path: Path, content: str | None, said: str
) -> None:
    """A token file that is missing or empty is bad usage; nothing is sent without a token."""
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    result = run("keys", "--token-file", str(path))

    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        *(("query", "a"), ("keys",), ("tail", "--times", "1"), ("check", "a", "p99<1")),
        ("send", "a", "1", "--wait", "0"),
    ],
)
def test_a_service_that_is_away_is_status_2(arguments: tuple[str, ...]) -> None:
    """When a service does not answer, one line names the variable of its URL; the status is 2."""
    url = f"http://127.0.0.1:{free_port()}"
    result = run(*arguments, METRICS_QUERY_URL=url, METRICS_COLLECTOR_URL=url)

    assert result.exit_code == 2
    assert url in result.stderr or "refused" in result.stderr
    assert "Traceback" not in result.output


def test_what_is_no_query_service_is_said(fake: FakeCollector) -> None:
    """An answer of something else is not shown as one of ours."""
    result = run("query", "a", METRICS_QUERY_URL=fake.url)

    assert result.exit_code == 2
    assert "as no query service does" in result.output


@pytest.mark.parametrize("url", ["ftp://a", "127.0.0.1:8100", "http://a b", "http://x:y@host"])
def test_a_url_that_is_none_names_its_variable(url: str) -> None:
    """A URL that cannot be one is bad usage, and a password in it is not shown."""
    for arguments in (("keys",), ("send", "a", "1")):
        result = run(*arguments, METRICS_QUERY_URL=url, METRICS_COLLECTOR_URL=url)

        assert result.exit_code == 2
        assert "_URL" in result.output
        assert "x:y" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("p99",), "'p99<300'"),
        (("p99<3", "--hour", "2026-11-23T99"), "--hour"),
        (("p99<3", "--hour", "now", "--date", "today"), "exclude"),
        ((), "Missing argument"),
    ],
)
def test_a_check_that_cannot_be_made_is_status_2(arguments: tuple[str, ...], said: str) -> None:
    """Bad usage of a check is status 2, so that it is not taken for an answer."""
    result = run("check", "checkout.*", *arguments)

    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("arguments", "status"), [(("status",), 2), (("dead", "list"), 2), (("dead", "retry"), 2)]
)
def test_without_redis_url_a_line_says_where_it_is(arguments: tuple[str, ...], status: int) -> None:
    """Without REDIS_URL, what looks into Redis says how to name it."""
    result = run(*arguments, REDIS_URL="")

    assert result.exit_code == status
    if arguments[-1] != "retry":
        assert "REDIS_URL" in result.output


def test_a_redis_that_is_away_is_unhealthy() -> None:
    """A Redis that does not answer is unhealthy; for a look at dead letters, no answer."""
    environ = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}"}

    assert run("status", **environ).exit_code == 1
    unhealthy = json.loads(run("status", "--json", **environ).output)
    assert unhealthy["healthy"] is False
    assert run("dead", "list", **environ).exit_code == 2


@pytest.mark.parametrize("name", ["7", "7/12", "x/1-1", "7/1-1/", "-1/1-1"])
def test_what_names_no_dead_letter_is_refused(name: str) -> None:
    """A name that is none of a dead letter is bad usage."""
    result = run("dead", "drop", "--yes", "--", name, REDIS_URL="redis://127.0.0.1:1")

    assert result.exit_code == 2
    assert "7/1764000000000-0" in result.output


def test_dropping_asks_first() -> None:
    """Dead letters are dropped only after a yes."""
    result = run("dead", "drop", "--all", stdin="n\n", REDIS_URL="redis://127.0.0.1:1")

    assert result.exit_code == 1
    assert "for good?" in result.output
