"""The files for Heroku, systemd and Docker match the Procfile, and name only what is there."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.startup import EXIT_CONFIG
from metrics.statsd.command_line import DELIVER_S, parser
from ops.lab.service import ROOT, STOP_TIMEOUT_S, procfile

SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
COMPOSE = ROOT / "ops" / "deploy" / "compose.yaml"
UNITS = {
    name: ROOT / "ops" / "deploy" / "systemd" / f"metrics-{name}@.service" for name in procfile()
}

AGENT = ROOT / "ops" / "deploy" / "systemd" / "metrics-statsd.service"


def words_of(line: str) -> list[str]:
    """Return the words of a line of the Procfile, as a shell hands them over."""
    return line.removeprefix("exec ").replace("'", "").split()


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """Return the content of app.json."""
    return json.loads((ROOT / "app.json").read_text("utf-8"))


def test_app_json_has_what_heroku_allows(manifest: dict[str, Any]) -> None:
    """Each field of app.json has a form that Heroku allows.

    Source:
        https://devcenter.heroku.com/articles/app-json-schema
    """
    forms: dict[str, Callable[[Any], bool]] = {
        "name": lambda it: re.fullmatch(r"[a-zA-Z_.-]{1,300}", it) is not None,
        "description": lambda it: isinstance(it, str),
        "keywords": lambda it: all(isinstance(word, str) for word in it),
        "stack": lambda it: it in ("heroku-22", "heroku-24", "heroku-26", "container"),
        "buildpacks": lambda it: all(each.keys() == {"url"} for each in it),
        "addons": lambda it: all(each.keys() <= {"plan", "as", "options"} for each in it),
        "env": lambda it: all(
            each.keys() <= {"description", "value", "generator", "required"} for each in it.values()
        ),
        "formation": lambda it: all(each.keys() == {"quantity", "size"} for each in it.values()),
    }

    for field, value in manifest.items():
        assert forms[field](value), field


def test_app_json_names_what_there_is(manifest: dict[str, Any]) -> None:
    """app.json names a Procfile, its processes and only settings that docs/settings.md has."""
    lines = (ROOT / manifest["env"]["PROCFILE"]["value"]).read_text("utf-8").splitlines()

    assert manifest["formation"].keys() == {line.partition(":")[0] for line in lines}
    assert "heroku-community/multi-procfile" in manifest["buildpacks"][0]["url"]
    for name in manifest["env"].keys() - {"PROCFILE"}:
        assert f"`{name}`" in SETTINGS, name


def test_heroku_installs_what_the_processes_need() -> None:
    """Heroku installs the pinned versions of the server and command line, and then the project."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    hook = ROOT / "bin" / "post_compile"
    image = (ROOT / "ops" / "deploy" / "Dockerfile").read_text("utf-8")
    project = "pip install --no-deps --no-index --no-build-isolation .\n"

    assert lines == ["--requirement ops/requirements/server.txt"]
    assert "--require-hashes --no-deps --requirement ops/requirements/server.txt\n" in image
    assert os.access(hook, os.X_OK)
    assert hook.read_text("utf-8").endswith(f"exec python -m {project}")
    assert f"RUN {project}" in image


@pytest.mark.parametrize("name", procfile())
def test_a_unit_starts_its_line_of_the_procfile(name: str) -> None:
    """A systemd unit starts its line of the Procfile at the port that it is named after."""
    unit = settings_of(UNITS[name])

    assert unit["ExecStart"] == "/opt/metrics/.venv/bin/" + " ".join(words_of(procfile()[name]))
    assert unit["WorkingDirectory"] == "/opt/metrics"
    assert unit["Environment"] == "PORT=%i"


@pytest.mark.parametrize("name", procfile())
def test_a_unit_lets_its_process_end_and_starts_it_again(name: str) -> None:
    """A unit gives its process time to stop and restarts it, except for wrong settings."""
    unit = settings_of(UNITS[name])

    assert unit["KillSignal"] == "SIGTERM"
    assert float(unit["TimeoutStopSec"]) >= STOP_TIMEOUT_S
    assert unit["Restart"] == "always"
    assert unit["RestartPreventExitStatus"].split() == ["2", str(EXIT_CONFIG)]


def test_units_differ_in_what_they_start_only() -> None:
    """The units differ only in their description, in what they start, and in what reads tokens."""
    first, *others = (settings_of(path) for path in UNITS.values())

    for other in others:
        differing = {name for name in first | other if first.get(name) != other.get(name)}
        assert differing - {"ExecReload"} == {"Description", "ExecStart"}
    assert [name for name, path in UNITS.items() if "ExecReload" in settings_of(path)] == [
        "collector",
        "query",
    ]


def test_the_unit_of_the_agent_is_like_the_others() -> None:
    """The agent's unit starts it with options of its own, and is bounded as the others are."""
    unit, worker = settings_of(AGENT), settings_of(UNITS["worker"])
    differing = {name for name in unit | worker if unit.get(name) != worker.get(name)}
    program, *options = unit["ExecStart"].split(" -m metrics statsd ")

    assert differing == {
        *("Description", "Documentation", "EnvironmentFile", "Environment", "ExecStart"),
        *("RuntimeDirectory", "RestartPreventExitStatus"),
    }
    assert program == worker["ExecStart"].split(" -m ")[0]
    assert options == [f"--socket /run/{unit['RuntimeDirectory']}/socket $OPTIONS"]


def test_compose_runs_the_agent(composed: dict[str, Any]) -> None:
    """Compose runs the agent with options that it has, and with enough time to deliver."""
    agent = composed["services"]["statsd"]
    python, *module, name = agent["command"][:4]
    options = parser(agent["environment"]).parse_args(agent["command"][4:])

    assert (python, module, name) == ("python", ["-m", "metrics"], "statsd")
    assert f"127.0.0.1:{options.port}:{options.port}/udp" in agent["ports"]
    assert float(agent["stop_grace_period"].removesuffix("s")) > DELIVER_S
    assert agent["environment"]["METRICS_COLLECTORS"] == "http://collector:8000"


def settings_of(unit: Path) -> dict[str, str]:
    """Return the settings of a unit, of which no name is there twice."""
    lines = re.findall(r"^(\w+)=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    assert len(dict(lines)) == len(lines)
    return dict(lines)


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """Return the content of compose.yaml."""
    return yaml.safe_load(COMPOSE.read_text("utf-8"))


def test_compose_runs_the_lines_of_the_procfile(composed: dict[str, Any]) -> None:
    """Compose runs each line of the Procfile with documented settings and enough time to stop."""
    for name, line in procfile().items():
        service = composed["services"][name]
        assert service["command"] == words_of(line)
        assert service["stop_grace_period"] == f"{STOP_TIMEOUT_S:.0f}s"
        for variable in service["environment"]:
            assert f"`{variable}`" in SETTINGS, variable
        for port in service.get("ports", ()):
            assert port.endswith(":" + service["environment"]["PORT"])


def test_what_compose_refers_to_is_there(composed: dict[str, Any]) -> None:
    """Every service, network, volume and file that compose.yaml refers to is there."""
    services = composed["services"]
    for service in services.values():
        assert service["image"]
        assert service.get("depends_on", {}).keys() <= services.keys()
        assert service["networks"].keys() <= composed["networks"].keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in composed["volumes"] or (COMPOSE.parent / source).is_dir()
        if build := service.get("build"):
            context = COMPOSE.parent / build["context"]
            assert (context / build["dockerfile"]).is_file()
            assert (context / "pyproject.toml").is_file()


def test_compose_makes_a_cluster_of_all_its_nodes(composed: dict[str, Any]) -> None:
    """Compose makes a cluster of six nodes, each with an address and the shipped settings."""
    nodes = {name: it for name, it in composed["services"].items() if name.startswith("node-")}
    networks = [node["networks"]["nodes"] for node in nodes.values()]
    addresses = {network["ipv4_address"] for network in networks}
    create = composed["services"]["cluster"]["command"][-1].partition("--cluster create")[2]

    assert len(addresses) == len(nodes) == 6
    assert set(re.findall(r"([\d.]+):6379", create)) == addresses
    assert composed["services"]["cluster"]["depends_on"].keys() == nodes.keys()
    assert all(network["aliases"] == ["redis"] for network in networks)
    assert composed["services"]["collector"]["environment"]["REDIS_URL"] == "redis://redis:6379"
    for node in nodes.values():
        for file in re.findall(r"/settings/(\S+?\.conf)", " ".join(node["command"])):
            assert (ROOT / "ops" / "deploy" / "redis" / file).is_file()


def test_the_image_has_what_the_processes_need() -> None:
    """Every file that the Dockerfile copies is there."""
    lines = (ROOT / "ops" / "deploy" / "Dockerfile").read_text("utf-8").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]

    assert {"src", "api", "workers", "ops"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
