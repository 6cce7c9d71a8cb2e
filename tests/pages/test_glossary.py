"""The glossary's words are those of the code, and words that were given up are in none of it."""

import re
from pathlib import Path

import pytest

from ops.lab.service import ROOT

PAGE = (ROOT / "docs" / "glossary.md").read_text("utf-8")
WORDS = re.findall(r"^\| (?!word |---)([a-z -]+) \|", PAGE, re.MULTILINE)
PRODUCT = ("src", "api", "workers")
RETIRED = [
    *("lane", "lanes", "draft", "drafts", "mark", "marks", "marked", "books", "book", "bury"),
    *("buried", "burial", "agree", "agrees", "agreed", "meet", "meets", "met", "insist", "doubt"),
    *("patience", "fate", "fates", "verdict", "verdicts", "wire", "tally", "seal", "sealed"),
    *("bell", "tell", "tells", "told", "telling"),
]
"""Words of our own that the field has others for."""

SERIES = ("metrics_books_balance", '"entries_buried"')
"""Names of series, which dashboards know."""


def code() -> dict[Path, str]:
    """Return the files of the product."""
    return {
        path: path.read_text("utf-8")
        for folder in PRODUCT
        for ending in ("*.py", "*.lua")
        for path in (ROOT / folder).rglob(ending)
    }


CODE = code()
ALL = "\n".join(CODE.values()).lower().replace("_", " ")


def test_it_is_one_page() -> None:
    """The glossary has between 20 and 40 words, each once."""
    assert 20 < len(WORDS) < 40
    assert len(set(WORDS)) == len(WORDS)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_glossary_is_used_in_code(word: str) -> None:
    """Every word of the glossary is used in the product's code."""
    joined = word.replace("-", " ").replace(" ", "[ -]?")

    assert re.search(rf"\b{joined}", ALL) or re.search(rf"{joined}", ALL), word


@pytest.mark.parametrize("word", RETIRED)
def test_a_word_that_was_given_up_is_nowhere(word: str) -> None:
    """A word that was given up is in no line of the product's code."""
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path, text in CODE.items()
        for line in text.splitlines()
        if re.search(rf"(?<![A-Za-z]){word}(?![A-Za-z])", line, re.IGNORECASE)
        and not any(name in line for name in SERIES)
    ]

    assert found == []


def test_readme_has_the_words_that_people_search_for() -> None:
    """The head of README has the words that people search for."""
    head = (ROOT / "README.md").read_text("utf-8").partition("## Run it")[0].lower()

    for word in ("exactly-once", "deduplication window", "dead letter", "backpressure"):
        assert word in head
    for word in ("tumbling window", "consumer lag", "ddsketch", "fence"):
        assert word in head
