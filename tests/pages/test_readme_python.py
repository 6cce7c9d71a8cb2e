"""The Python on README and on the page of the client runs as it is pasted."""

import inspect
import re

import pytest

from metrics import Client
from ops.lab.service import ROOT
from tests.support.fake_collector import fake_collector

README = (ROOT / "README.md").read_text("utf-8")
PAGE = (ROOT / "docs" / "client.md").read_text("utf-8")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
(SHORT,) = BLOCK.findall(README)
CLIENT, MIDDLEWARE, TESTING = BLOCK.findall(PAGE)


def run(block: str) -> None:
    """Run a block of a page as a program of its own."""
    exec(compile(block, "a page", "exec"), {"__name__": "__main__"})  # noqa: S102


@pytest.mark.parametrize("block", [SHORT + "client.close()", CLIENT], ids=["README", "client.md"])
def test_the_client_delivers_what_the_page_records(
    block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client of a page's block delivers what the block records."""
    with fake_collector() as collector:
        monkeypatch.setenv("METRICS_COLLECTORS", collector.url)
        monkeypatch.setenv("METRICS_KEY", "checkout.web-1")
        run(block)

    value, timed = collector.values("checkout.web-1")
    assert value == 123.4
    assert timed < value
    if block is CLIENT:
        shown = capsys.readouterr().out
        assert "recorded=2, sent=2, rejected=0, dropped=0, buffered=0" in shown


def test_the_middleware_is_wrapped_as_in_the_apps_that_are_tested() -> None:
    """Each line about middleware on the page is a line of an app that the tests run."""
    imports, *lines = (line.partition("#") for line in MIDDLEWARE.splitlines() if line)
    run(imports[0])

    assert len(lines) == 4
    for code, _, comment in lines:
        framework = re.findall(r"\w+", comment)[0].lower()
        app = (ROOT / "tests" / "client" / "apps" / f"{framework}_app.py").read_text("utf-8")
        assert code.strip() in app.splitlines()


def test_the_recorder_remembers_as_readme_shows() -> None:
    """The page's block about testing runs, and its own checks pass."""
    run(TESTING)


def test_every_parameter_of_the_client_is_on_the_page() -> None:
    """Every parameter of the client is on the page, with its default or its variable."""
    table = [line for line in PAGE.splitlines() if line.startswith("| `")]
    parameters = inspect.signature(Client).parameters

    assert len(parameters) > 5
    for name, parameter in parameters.items():
        if name != "environ":
            (row,) = (line for line in table if f"`{name}`" in line.split("|")[1])
            default = f"METRICS_{name.upper()}" if parameter.default is None else parameter.default
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert shown in re.findall(r"[\w.]+", row.split("|")[2])
