"""The picture of the pipeline can be drawn, and speaks of what there is."""

import xml.etree.ElementTree as ET

from ops.lab.service import ROOT, procfile

PICTURE = ET.fromstring((ROOT / "docs" / "pipeline.svg").read_text("utf-8"))
SVG = "{http://www.w3.org/2000/svg}"


def test_each_process_and_what_lies_in_redis_has_its_box() -> None:
    """The texts of the picture name all processes of the Procfile, and what Redis holds."""
    texts = [text.text or "" for text in PICTURE.iter(f"{SVG}text")]
    titles = " ".join(texts)

    for name in (*procfile(), "apps", "stream", "fingerprints and audit", "hash of a key-hour"):
        assert name in titles


def test_everything_is_inside_the_picture() -> None:
    """No text and no box begins outside the frame of the picture."""
    *_, width, height = map(float, PICTURE.attrib["viewBox"].split())

    for element in (*PICTURE.iter(f"{SVG}text"), *PICTURE.iter(f"{SVG}rect")):
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        assert 0 <= x < width
        assert 0 <= y < height
