"""Lines of the log: one each whatever a client sent, for people or as JSON, with their request."""

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.log_lines import LogFormat, begin_log

_log = logging.getLogger("tests")


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Give the root logger its handlers and its level back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_a_line_for_people_has_level_logger_text_and_request(
    lines: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the console a line says how grave it is, who says what, and about which request."""
    begin_log("console")
    _log.warning("slow: %d ms", 7)
    begin_log("console", request_id=lambda: "web-1")
    _log.warning("slow: %d ms", 7)

    assert capsys.readouterr().err.splitlines() == [
        "WARNING tests: slow: 7 ms",
        "WARNING tests: slow: 7 ms [request web-1]",
    ]


def test_a_line_as_json_has_the_same_and_when(
    lines: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JSON a line is an object, with a timestamp and a traceback if there is one."""
    begin_log("json", request_id=lambda: "web-1")
    try:
        int("a\nb")
    except ValueError:
        _log.exception("failed: %s", "x")
    begin_log("json")
    _log.info("well")

    failed, well = map(json.loads, capsys.readouterr().err.splitlines())
    assert failed["timestamp"].startswith("20")
    assert "ValueError: invalid literal" in failed["exc_info"]
    known = {name: failed[name] for name in ("level", "logger", "message", "request_id")}
    assert known == {
        "level": "ERROR",
        "logger": "tests",
        "message": "failed: x",
        "request_id": "web-1",
    }
    assert "request_id" not in well


@pytest.mark.parametrize("form", ["console", "json"])
@given(text=st.text())
def test_no_text_makes_a_line_of_its_own(form: LogFormat, text: str) -> None:
    """What a client sent stays on the line that shows it, and moves no cursor."""
    begin_log(form)
    (handler,) = logging.getLogger().handlers
    line = handler.format(logging.makeLogRecord({"msg": "got %s", "args": (f"a{text}z",)}))

    assert line.splitlines() == [line]
    assert form == "json" or not any(each in line for each in "\x1b\x00\x07\x9b\u2028")
