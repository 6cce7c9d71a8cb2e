"""The picture of the pipeline, drawn from a text: ``python -m ops.lab.picture``.

``docs/pipeline.toml`` says which boxes there are, what stands in them, and which arrows lead from
one to another. An arrow is one straight line between the two, so it needs no place of its own. The
picture has a ground of its own and follows the light or dark of whoever looks at it.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from xml.sax.saxutils import escape

SOURCE = Path("docs/pipeline.toml")
PICTURE = Path("docs/pipeline.svg")

_MARGIN = 14
_LINE_HEIGHT = 20
_TITLE_PX, _LINE_PX, _LABEL_PX = 16, 14, 12.5
_STACK = 6
_TIP = 9

_STYLE = """
text { font: 14px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #26303c }
.head { font-size: 19px; font-weight: 600 }
.title { font-size: 16px; font-weight: 600 }
.label { font-size: 12.5px; fill: #4a5563; text-anchor: middle }
.first { font-weight: 600; fill: #26303c }
.note { fill: #5b6673 }
.fate { font-size: 12.5px; fill: #9a3412 }
.ground { fill: #ffffff; stroke: #d5dbe3 }
.frame { fill: #fff7f4; stroke: #d9775b; stroke-dasharray: 5 4 }
.outside { fill: #f3f5f8; stroke: #8793a3 }
.ours { fill: #eaf2ff; stroke: #3b74d1 }
.redis { fill: #ffe9e2; stroke: #cf5b3b }
.line { stroke: #4a5563; stroke-width: 2 }
.tip { fill: #4a5563 }
@media (prefers-color-scheme: dark) {
text { fill: #e6ebf2 }
.label { fill: #b3bdca }
.first { fill: #e6ebf2 }
.note { fill: #a4afbd }
.fate { fill: #fdba74 }
.ground { fill: #12171f; stroke: #333d4a }
.frame { fill: #1d1715; stroke: #a3553d }
.outside { fill: #232a34; stroke: #77839a }
.ours { fill: #16263f; stroke: #5b92ea }
.redis { fill: #3b1f17; stroke: #d97757 }
.line { stroke: #b3bdca }
.tip { fill: #b3bdca }
}"""

# In parts of the height of a font; those of a wide one, so that others have room as well.
_NARROW, _USUAL, _CAPITAL, _WIDE = 0.38, 0.61, 0.72, 0.95


class PictureError(ValueError):
    """The text asks for what cannot be drawn; the error names the box or the arrow."""


def width_of(text: str, size_px: float) -> float:
    """Return about how wide a text is in a sans-serif font, rather too wide than too narrow."""
    return size_px * sum(map(_width_of_character, text))


def _width_of_character(character: str) -> float:
    if character in "mwMW@%":
        return _WIDE
    if character in "ijlftrI.,:;'|!()[] ":
        return _NARROW
    return _CAPITAL if character.isupper() else _USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box with its title and lines.

    Attributes:
        title: Stands above the lines.
        at: Its left and upper edge.
        size: Its width and height.
        lines: What stands in it, below the title.
        last: What stands in it, above its lower edge.
        name: What arrows call it; a frame has none.
        kind: Decides its colours.
        fate: What follows if it dies; at its lower edge.
        many: Whether there may be several of it.
    """

    title: str
    at: tuple[float, float]
    size: tuple[float, float]
    lines: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    name: str = ""
    kind: str = "frame"
    fate: str = ""
    many: bool = False

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Self:
        """Return the box that a table of the text describes.

        Raises:
            PictureError: If a label is longer or higher than the box.
        """
        pairs = {name: tuple(table.get(name, ())) for name in ("at", "size", "lines", "last")}
        box = cls(**{**table, **pairs})
        for text, size_px in (
            (box.title, _TITLE_PX),
            *((each, _LINE_PX) for each in box.lines + box.last),
        ):
            _require_room(text, size_px, box.size[0] - 2 * _MARGIN, f"the box {box.title!r}")
        _require_room(box.fate, _LABEL_PX, box.size[0] - 2 * _MARGIN, f"the box {box.title!r}")
        rows = 1 + len(box.lines) + len(box.last) + bool(box.fate)
        if rows * _LINE_HEIGHT + _MARGIN > box.size[1]:
            raise PictureError(
                f"the box {box.title!r} has no room for {rows} lines: make it higher"
            )
        return box

    @property
    def across(self) -> tuple[float, float]:
        """Its left and right edge."""
        return self.at[0], self.at[0] + self.size[0]

    @property
    def down(self) -> tuple[float, float]:
        """Its upper and lower edge."""
        return self.at[1], self.at[1] + self.size[1]

    def drawn(self) -> Iterable[str]:
        """Yield what it looks like."""
        (x, y), (width, height) = self.at, self.size
        for offset in (_STACK, 0) if self.many else (0,):
            yield (
                f'<rect class="{self.kind}" x="{x + offset:g}" y="{y + offset:g}"'
                f' width="{width:g}" height="{height:g}" rx="8"/>'
            )
        left, first = x + _MARGIN, y + _LINE_HEIGHT + 4
        yield _text("title", left, first, self.title)
        for i, line in enumerate(self.lines, start=1):
            yield _text("note", left, first + i * _LINE_HEIGHT + 2, line)
        bottom = y + height - 12
        for i, line in enumerate(reversed(self.last), start=1):
            yield _text("note", left, bottom - i * _LINE_HEIGHT - 6, line)
        yield _text("fate", left, bottom, self.fate)


@dataclass(frozen=True, slots=True)
class Arrow:
    """A straight line from the edge of one box to the edge of another.

    Attributes:
        start: Where it begins.
        end: Where its tip is, on the same height.
        labels: One stands above it, one below.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Mapping[str, Any], boxes: Mapping[str, Box]) -> Self:
        """Return the arrow that a table of the text describes.

        Raises:
            PictureError: If no such line can be drawn, or it is too short for its labels.
        """
        name = f"the arrow from {table['from']!r} to {table['to']!r}"
        try:
            start, end = boxes[table["from"]], boxes[table["to"]]
        except KeyError as error:
            raise PictureError(f"{name}: there is no box {error}") from error
        top, bottom = max(start.down[0], end.down[0]), min(start.down[1], end.down[1])
        if top >= bottom:
            raise PictureError(f"{name}: move one of them, they must stand side by side")
        y = (top + bottom) / 2
        to_the_right = start.at[0] < end.at[0]
        first = start.across[1] + _STACK * start.many if to_the_right else start.across[0]
        last = end.across[0] if to_the_right else end.across[1] + _STACK * end.many
        for label in table["labels"]:
            _require_room(label, _LABEL_PX, abs(last - first), name)
        return cls((first, y), (last, y), tuple(table["labels"]))

    def drawn(self) -> Iterable[str]:
        """Yield what it looks like."""
        (x, y), (tip, _) = self.start, self.end
        back = tip - _TIP if tip > x else tip + _TIP
        yield f'<path class="line" d="M{x:g} {y:g}H{back:g}"/>'
        yield f'<path class="tip" d="M{tip:g} {y:g}L{back:g} {y - 6:g}V{y + 6:g}z"/>'
        middle = (x + tip) / 2
        places = (("label first", y - 9), ("label", y + 19))
        for (kind, height), label in zip(places, self.labels, strict=False):
            yield _text(kind, middle, height, label)


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn, checked."""

    title: str
    caption: str
    size: tuple[float, float]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @classmethod
    def parse(cls, source: str) -> Self:
        """Return the picture that a text describes.

        Raises:
            PictureError: If it cannot be drawn so; ``tomllib.TOMLDecodeError`` if it is no TOML.
        """
        tables = tomllib.loads(source)
        frames = tuple(map(Box.of, tables.get("frame", ())))
        boxes = tuple(map(Box.of, tables["box"]))
        by_name = {box.name: box for box in boxes}
        arrows = tuple(Arrow.of(table, by_name) for table in tables["arrow"])
        return cls(
            tables["title"], tables["caption"], tuple(tables["size"]), frames + boxes, arrows
        )

    def svg(self) -> str:
        """Return it as the text of an SVG file."""
        width, height = self.size
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<style>{_STYLE}\n</style>",
            f'<rect class="ground" x=".5" y=".5" width="{width - 1}" height="{height - 1}"'
            ' rx="12"/>',
            _text("head", 24, 42, self.title),
            *(part for box in self.boxes for part in box.drawn()),
            *(part for arrow in self.arrows for part in arrow.drawn()),
            _text("note", 24, height - 22, self.caption),
            "</svg>",
        ]
        return "\n".join(part for part in parts if part) + "\n"


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>' if text else ""


def _require_room(text: str, size_px: float, room: float, place: str) -> None:
    needed = width_of(text, size_px)
    if needed > room:
        raise PictureError(f"{place} has room for {room:.0f}, and {text!r} needs {needed:.0f}")


def main() -> None:
    """Draw it."""
    PICTURE.write_text(Picture.parse(SOURCE.read_text("utf-8")).svg(), "utf-8")
    print(f"{PICTURE} is drawn")


if __name__ == "__main__":
    main()
