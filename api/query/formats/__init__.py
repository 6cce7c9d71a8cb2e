"""The forms of an answer: JSON, rows of CSV, lines with bars for a terminal, a drawing."""

from api.query.formats.choice import JSON, SVG, Format, chosen

__all__ = ["JSON", "SVG", "Format", "chosen"]
