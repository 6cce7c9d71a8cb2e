"""What is installed: each file that pip may fetch is known by its hash, and fits pyproject.toml."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.lab.pins import FOLDER, LAYERS, ROOT, pins_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FILES = sorted(path.stem for path in FOLDER.glob("*.txt"))


def text_of(name: str) -> str:
    """Return the text of a file, and before it that of the files that it includes."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    included = re.findall(r"^--requirement (\w+)\.txt$", text, re.M)
    return "".join(text_of(other) for other in included) + text


def versions(name: str) -> Mapping[str, str]:
    """Return the versions of a file that are for this machine, by project."""
    lines = (pin.partition("\\\n")[0] for pin in pins_of(text_of(name)).values())
    pins = [Requirement(line) for line in lines]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def wanted(texts: list[str]) -> Iterator[Requirement]:
    """Yield requirements that are for this machine; of ours, what our extras require."""
    for requirement in map(Requirement, texts):
        if requirement.name == "metrics":
            for extra in requirement.extras:
                yield from wanted(PROJECT["project"]["optional-dependencies"][extra])
        elif requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_an_exact_version_with_its_hashes(name: str) -> None:
    """A file has exact versions, each with its hashes, files that it includes, and nothing else."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    pins = pins_of(text)
    rest = text
    for pin in pins.values():
        rest = rest.replace(pin, "")

    assert pins
    for pin in pins.values():
        assert re.fullmatch(
            r"[a-z0-9-]+==[\w.]+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n", pin
        ), pin
    assert re.fullmatch(r"#.*\n(--requirement \w+\.txt\n)?", rest)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_versions_fit_what_pyproject_asks_for(layer: str) -> None:
    """Each file has a version in the range of each requirement of its extras, and of the build."""
    pinned = versions(layer)
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [text for extra in LAYERS[layer] for text in extras[extra]]

    for requirement in wanted(asked + PROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("layer", LAYERS)
def test_whatever_a_package_requires_is_pinned_too(layer: str) -> None:
    """With each package there is all that it requires: pip is told to fetch nothing more."""
    pinned = versions(layer)
    for name in pinned:
        try:
            asked = requires(name) or []
        except PackageNotFoundError:  # of a file that is not installed here
            continue
        for requirement in wanted(asked):
            version = pinned.get(canonicalize_name(requirement.name), "none")
            assert version != "none", f"{name} requires {requirement}"
            assert requirement.specifier.contains(version, prereleases=True), (name, requirement)
