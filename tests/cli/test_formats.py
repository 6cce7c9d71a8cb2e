"""Each format says of a line its key, its response time in milliseconds and its moment."""

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.cli.importing.formats import FORMATS, Message, OtherLineError, Read, reader
from metrics.errors import InvalidMessageError

AT = datetime(2026, 11, 23, 14, 5, 12, tzinfo=UTC).timestamp()
NGINX = '10.1.2.3 - - [23/Nov/2026:14:05:12 +0000] "GET /{} HTTP/1.1" 200 612 "-" "{}" '
HAPROXY = (
    "Nov 23 14:05:12 lb haproxy[1]: 10.0.1.2:33317 [23/Nov/2026:14:05:12.655] http-in~ {}"
    ' 10/0/30/69/{} 200 2750 - - ---- 1/1/1/1/0 0/0 "GET /index.html HTTP/1.1"'
)
ROUTER = (
    '2026-11-23T14:05:12+00:00 heroku[router]: at=info method=GET path="{}" host=a.example'
    ' fwd="73.75.38.87" dyno=web.1 connect=1ms service=22ms status=304 bytes=656 protocol=http'
)


def read_csv(header: str = "") -> Read:
    """Return what reads a CSV with this first line."""
    return reader("csv", "", UTC, header)


def test_a_csv_without_a_header_has_key_and_value_and_perhaps_a_time() -> None:
    """Without a header the columns are key, value and timestamp."""
    read = read_csv("a,1")

    assert read("checkout.web-1,98.5") == Message("checkout.web-1", 98.5, None)
    assert read("checkout.web-1, 98.5 ,1795788312.5") == Message(
        "checkout.web-1", 98.5, 1795788312.5
    )
    assert read('"checkout.web-1",7,2026-11-23T14:05:12Z').timestamp == "2026-11-23T14:05:12Z"


def test_a_header_names_the_columns_in_any_order() -> None:
    """With a header columns stand where it says, others are ignored, and it is no message."""
    header = "\ufeffTimestamp,path,Value,KEY"
    read = read_csv(header)

    assert read(header) is None
    assert read("12,/,7,a") == Message("a", 7.0, 12.0)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("a", "key,value"),
        ("a,x", "number"),
        ("a,-1", "0 or more"),
        ("a,nan", "finite"),
        ("b c,1", "key"),
    ],
)
def test_a_line_of_a_csv_that_breaks_a_rule_is_named(line: str, rule: str) -> None:
    """A line of a CSV that is no message says which rule it breaks."""
    with pytest.raises(InvalidMessageError, match=rule):
        read_csv()(line)


@pytest.mark.parametrize(
    "end", ["0.123", "rt=0.123", 'rt="0.123" uct="9.000"', "request_time=0.123 x"]
)
def test_nginx_has_its_request_time_at_the_end_or_by_name(end: str) -> None:
    """The request time is a number behind the combined format, or is named rt or request_time."""
    read = reader("nginx", "edge.web-1", UTC, "")

    assert read(NGINX.format("", "curl") + end) == Message("edge.web-1", 123.0, AT)


def test_nginx_times_have_their_own_offset() -> None:
    """The offset in the line counts, and the form of $time_iso8601 is read as well."""
    read = reader("nginx", "edge.web-1", UTC, "")
    local = NGINX.replace("14:05:12 +0000", "16:35:12 +0230").format("", "")
    iso = NGINX.replace("[23/Nov/2026:14:05:12 +0000]", "2026-11-23T15:05:12+01:00").format("", "")

    assert read(local + "0.001").timestamp == AT
    assert read(iso + "0.001").timestamp == AT


def test_a_client_of_nginx_chooses_no_time() -> None:
    """What looks like a time in a path or a header of the client is not read."""
    read = reader("nginx", "edge.web-1", UTC, "")
    line = NGINX.format("?rt=99.000&[01/Jan/2000:00:00:00 +0000]", "request_time=77.000")

    assert read(line + "rt=0.123") == Message("edge.web-1", 123.0, AT)
    with pytest.raises(OtherLineError):
        read(line)


def test_haproxy_has_its_total_time_and_the_server_as_key() -> None:
    """The active time Ta is the value, backend and server are the key, --tz is of the time."""
    read = reader("haproxy", "{backend}.{server}", ZoneInfo("Europe/Berlin"), "")

    message = read(HAPROXY.format("static/srv1", "109"))

    assert message == Message("static.srv1", 109.0, AT - 3600 + 0.655)


def test_haproxy_without_a_server_is_a_key_as_well() -> None:
    """Where no server was chosen the key says so."""
    read = reader("haproxy", "{frontend}.{server}", UTC, "")

    assert read(HAPROXY.format("static/<NOSRV>", "109")).key == "http-in.NOSRV"


@pytest.mark.parametrize("line", [HAPROXY.format("b/s", "+109"), "Proxy http-in started.", ""])
def test_other_lines_of_haproxy_have_no_message(line: str) -> None:
    """A line that is logged before its end, and any that is not of HTTP, has no message."""
    with pytest.raises(OtherLineError):
        reader("haproxy", "{backend}.{server}", UTC, "")(line)


@pytest.mark.parametrize("path", ["/", "/?service=1ms&dyno=x", "/ service=1ms dyno=x"])
def test_a_router_line_has_its_service_time_and_its_dyno(path: str) -> None:
    """The service time is the value, the dyno is part of the key; a path chooses neither."""
    read = reader("router", "checkout.{dyno}", UTC, "")

    assert read(ROUTER.format(path)) == Message("checkout.web.1", 22.0, AT)
    framed = "<158>1 " + ROUTER.format(path).replace("heroku[router]:", "host heroku router -")
    assert read(framed) == Message("checkout.web.1", 22.0, AT)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T14:05:12+00:00 app[web.1]: service=3ms dyno=web.1",
        '2026-11-23T14:05:12+00:00 heroku[router]: at=error code=H10 path="/" dyno= service=',
    ],
)
def test_other_lines_of_heroku_have_no_message(line: str) -> None:
    """Lines of apps, and errors without a service time, have no message."""
    with pytest.raises(OtherLineError):
        reader("router", "checkout.{dyno}", UTC, "")(line)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nginx", NGINX.format("", "").replace("+0000", "+2400") + "0.005"),
        ("nginx", NGINX.format("", "").replace("23/Nov", "31/Nov") + "0.005"),
        ("nginx", '2026-11-23T34:10:00+00:00 "GET /" rt=0.005'),
        ("router", ROUTER.replace("2026-11", "2026-31")),
        ("router", ROUTER.replace("+00:00", "+24:00")),
        ("haproxy", HAPROXY.format("app/web1", 109).replace("23/Nov", "31/Nov")),
    ],
)
def test_a_time_that_there_is_not_is_no_message(name: str, line: str) -> None:
    """A line whose time looks like one and is none is counted with those that have none."""
    with pytest.raises(OtherLineError, match="no time that there is"):
        reader(name, "a", UTC, "")(line)


def test_a_router_line_without_a_dyno_is_no_message() -> None:
    """A line of the router that names no dyno has no key, where the dyno is part of it."""
    with pytest.raises(OtherLineError, match="no dyno"):
        reader("router", "checkout.{dyno}", UTC, "")(ROUTER.replace("dyno=web.1 ", ""))


@pytest.mark.parametrize(
    ("name", "key"),
    [("nginx", "{dyno}"), ("router", "a b"), ("haproxy", "{0}"), ("router", "{dyno")],
)
def test_a_key_that_cannot_be_made_is_refused_at_once(name: str, key: str) -> None:
    """A key with what the format has not, or that is none, is refused before anything is read."""
    with pytest.raises(ValueError, match="--key"):
        reader(name, key, UTC, "")


@given(st.sampled_from(sorted(FORMATS)), st.text(max_size=300))
def test_any_line_is_read_or_refused(name: str, line: str) -> None:
    """Whatever a line holds, it is a message, or named as none."""
    read = reader(name, "" if name == "csv" else "a", UTC, "")
    with suppress(OtherLineError, InvalidMessageError):
        assert isinstance(read(line), Message)
