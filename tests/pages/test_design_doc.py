"""The design, the decisions and the pages for contributors name only what is there."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from ops.lab.service import ROOT

DOCS = ROOT / "docs"
DECISIONS = sorted(DOCS.glob("decisions/[0-9]*.md"))
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("decisions/*.md"))]
DESIGN = (DOCS / "design.md").read_text("utf-8")

HEADINGS = ["Context", "Decision", "Consequences", "To undo it"]


def label(page: Path) -> str:
    """Return the name of a page."""
    return str(page.relative_to(DOCS))


def anchors_of(page: Path) -> set[str]:
    """Return what links may name in a page, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@cache
def functions_in(name: str) -> set[str]:
    """Return the functions that a file of tests has."""
    tree = ast.parse((ROOT / name).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    """Every test that a page names is there."""
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text("utf-8")):
        assert name in functions_in(file), f"{file}::{name}"


def test_each_step_and_each_requirement_has_its_test() -> None:
    """Each step and each requirement of the design names its test."""
    tables = DESIGN[DESIGN.index("## The life") : DESIGN.index("## What else")]
    rows = [row for row in tables.splitlines() if row.startswith("| ") and "---" not in row]
    tested = [row for row in rows if "::test_" in row]
    untested = [row for row in rows if "::test_" not in row]
    components = tables[tables.index("| component") : tables.index("## What was asked")]

    assert len(tested) > 25
    assert all(row in components or row.endswith("| test |") for row in untested), untested


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """Every file and folder that a page names is there."""
    text = page.read_text("utf-8")
    for name in re.findall(r"(?<![\w/.])((?:ops|src|api|workers|docs|tests)/[\w./-]*\w/?)", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_command_that_is_named_is_there(page: Path) -> None:
    """Every ``python -m`` command of a page is there, and its program has the named options."""
    text = page.read_text("utf-8")
    for module, rest in re.findall(r"python -m (ops[\w.]*)([^`\n#]*)", text):
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        folder = (
            Path(spec.submodule_search_locations[0]) if spec.submodule_search_locations else None
        )
        program = folder / "__main__.py" if folder else Path(str(spec.origin))
        source = program.read_text("utf-8")
        assert all(f'"{option}"' in source for option in re.findall(r"--[a-z-]+", rest)), rest


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Every link of a page leads to a file, and to a heading where it names one."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            found = (page.parent / name).resolve() if name else page
            assert found.exists(), target
            assert not anchor or anchor in anchors_of(found), target


@pytest.mark.parametrize("page", DECISIONS, ids=label)
def test_a_decision_says_why_and_how_to_undo_it(page: Path) -> None:
    """A decision has the fixed headings, its file's number and at most 40 lines."""
    text = page.read_text("utf-8")

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert 15 <= len(text.splitlines()) <= 40


def test_every_decision_is_in_the_list() -> None:
    """The list has every decision under its title, in order and without a gap."""
    text = (DOCS / "decisions" / "README.md").read_text("utf-8")
    titles = [page.read_text("utf-8").splitlines()[0].removeprefix("# ") for page in DECISIONS]
    names = [page.name for page in DECISIONS]

    assert re.findall(r"^- \[(.*)\]\((.*)\)$", text, re.MULTILINE) == [
        *zip(titles, names, strict=True)
    ]
    assert [int(name[:4]) for name in names] == [*range(1, len(names) + 1)]
