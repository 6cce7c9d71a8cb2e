"""The picture of the pipeline matches its source, and can be read."""

import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from ops.lab.picture import PICTURE, SOURCE, Picture, PictureError, width_of
from ops.lab.service import ROOT

TEXT = (ROOT / SOURCE).read_text("utf-8")
SVG = "{http://www.w3.org/2000/svg}"

SMALL = """
title = "a <picture>"
caption = "of two boxes"
size = [400, 200]
[[box]]
name = "left"
kind = "ours"
title = "left"
lines = ["one", "two"]
at = [10, 60]
size = [100, 100]
[[box]]
name = "right"
kind = "redis"
title = "right"
at = [250, 100]
size = [100, 80]
[[arrow]]
from = "left"
to = "right"
labels = ["above"]
"""


def elements(svg: str, tag: str) -> Sequence[ET.Element]:
    """Return the elements of a picture that have a tag."""
    return list(ET.fromstring(svg).iter(SVG + tag))  # noqa: S314  (our own)


def test_the_picture_is_what_its_source_gives() -> None:
    """The picture in docs is the one that ``python -m ops.lab.picture`` draws from its source."""
    assert (ROOT / PICTURE).read_text("utf-8") == Picture.parse(TEXT).svg()


def test_every_label_of_the_source_is_shown() -> None:
    """The picture shows every label of its source, whatever characters it has."""
    shown = {element.text for element in elements(Picture.parse(TEXT).svg(), "text")}
    source = tomllib.loads(TEXT)
    boxes = [*source["frame"], *source["box"]]
    wanted = {box.get("fate", "") for box in boxes} | {box["title"] for box in boxes}
    wanted |= {line for box in boxes for line in [*box["lines"], *box.get("last", [])]}
    wanted |= {label for arrow in source["arrow"] for label in arrow["labels"]}

    assert wanted - {""} <= shown
    assert "a <picture>" in {each.text for each in elements(Picture.parse(SMALL).svg(), "text")}


def test_an_arrow_goes_from_the_edge_of_a_box_to_the_edge_of_another() -> None:
    """An arrow goes from one box's edge to another's, at a height that both have."""
    (arrow,) = Picture.parse(SMALL).arrows

    assert arrow.start == (110, 130)
    assert arrow.end == (250, 130)


def test_every_arrow_of_the_picture_ends_at_a_box() -> None:
    """Every arrow of the picture begins and ends at a box, also at one that stands for many."""
    picture = Picture.parse(TEXT)
    edges = [
        (x, *box.down)
        for box in picture.boxes
        if box.name
        for left, right in [box.across]
        for x in (left, right + (6 if box.many else 0))
    ]

    assert picture.arrows
    for arrow in picture.arrows:
        for x, y in (arrow.start, arrow.end):
            assert any(edge == x and top < y < bottom for edge, top, bottom in edges)


def test_no_box_lies_on_another_or_leaves_the_picture() -> None:
    """No box of the picture lies on another or leaves the picture."""
    picture = Picture.parse(TEXT)
    boxes = [box for box in picture.boxes if box.name]

    for i, box in enumerate(boxes):
        assert 0 < box.across[0] < box.across[1] < picture.size[0]
        assert 0 < box.down[0] < box.down[1] < picture.size[1]
        for other in boxes[:i]:
            is_beside = box.across[0] >= other.across[1] or box.across[1] <= other.across[0]
            is_above = box.down[0] >= other.down[1] or box.down[1] <= other.down[0]
            assert is_beside or is_above, (box.name, other.name)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"two"', '"a line that is far too long"'), "'left' has room for 72, and 'a line"),
        (('"above"', '"a label that is far too long"'), "from 'left' to 'right' has room for 140"),
        (('["one", "two"]', '["1", "2", "3", "4", "5"]'), "'left' has no room for 6 lines"),
        (("at = [250, 100]", "at = [250, 170]"), "they must stand side by side"),
        (('to = "right"', 'to = "wrong"'), "there is no box 'wrong'"),
    ],
    ids=["line", "label of an arrow", "lines", "apart", "unknown"],
)
def test_what_does_not_fit_is_refused_by_name(change: tuple[str, str], why: str) -> None:
    """A label or box that does not fit is an error that names it."""
    with pytest.raises(PictureError, match=re.escape(why)):
        Picture.parse(SMALL.replace(*change))


def test_a_width_is_rather_too_large_than_too_small() -> None:
    """The width of a text is at least that of DejaVu Sans, and not far above."""
    assert 127 <= width_of("record(key, value)", 14) <= 150
    assert 99 <= width_of("XREADGROUP", 14) <= 112


def test_a_dark_page_has_colours_of_its_own() -> None:
    """Each colour of the light picture has a counterpart in the dark one."""
    light, dark = Picture.parse(TEXT).svg().split("@media (prefers-color-scheme: dark)")
    rules = {name for name, style in re.findall(r"(\S+) \{(.*?)\}", light) if "fill: #" in style}

    assert len(rules) > 5
    for name in rules | {".line"}:
        assert f"\n{name} {{" in dark
