"""Lines of a router are read as messages, whatever stands beside them."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.collector.batch_builder import BatchBuilder
from api.collector.logplex_frame import Fields, Frame, read
from tests.collector.test_bodies import NOW, columns
from tests.collector.test_loss_reports import dropped
from tests.conftest import assert_within, seconds_of

AT = "2026-11-23T14:05:06.123456+00:00"
EARLIER = "2026-11-23T13:59:59.999999+00:00"
CHECKOUT = Fields("checkout")


def router(fields: str, *, at: str = AT) -> bytes:
    """Return a line of Heroku's router."""
    return f"<158>1 {at} host heroku router - {fields}".encode()


def logplex(text: str, *, at: str = AT) -> bytes:
    """Return a line of Logplex itself."""
    return f"<172>1 {at} host heroku logplex - {text}".encode()


def octets(lines: Sequence[bytes]) -> bytes:
    """Return a frame of lines."""
    return b"".join(b"%d %s" % (len(line), line) for line in lines)


def frame_of(body: bytes) -> Frame:
    """Return the lines of a frame."""
    return Frame.of_octets(body, lambda: None)


def read_lines(*lines: bytes, fields: Fields = CHECKOUT) -> BatchBuilder:
    """Return what a builder makes of a frame of lines."""
    builder = BatchBuilder(arrival=NOW, retention_days=30, may_write=lambda _: True)
    read(frame_of(octets(lines)), fields, builder)
    return builder


OK = (
    'at=info method=GET path="/cart?dyno=web.9" host=shop.example request_id=05726858 '
    'fwd="198.51.100.7" dyno=web.1 connect=1ms service=22ms status=304 bytes=656 protocol=https'
)
H12 = (
    'at=error code=H12 desc="Request timeout" method=POST path="/pay" host=shop.example '
    'fwd="198.51.100.7" dyno=web.2 connect=1ms service=30000ms status=503 bytes=0'
)
H10 = (
    'at=error code=H10 desc="App crashed" method=GET path="/" host=shop.example '
    'fwd="198.51.100.7" dyno= connect= service= status=503 bytes='
)


def test_a_line_of_the_router_is_a_message_of_its_dyno_at_its_own_time() -> None:
    """The key is app and dyno, the value `service`, the hour that of the line."""
    found = read_lines(router(OK), router(H12), router(OK, at=EARLIER))

    assert columns(found) == {
        "checkout.web.1": "22.0",
        "checkout.web.2": "30000.0",
        "2026-11-23T13:checkout.web.1": "22.0",
    }
    assert (found.accepted, found.rejected, found.ignored) == (3, 0, 0)


def test_whatever_is_no_response_time_is_ignored() -> None:
    """Lines of apps, of other parts of the platform, and without a time are ignored."""
    found = read_lines(
        router(H10),
        router("at=info dyno=web.1"),
        f"<190>1 {AT} host app web.1 - {OK}".encode(),
        f"<45>1 {AT} host heroku web.1 - source=web.1 dyno=heroku.1 service=1ms".encode(),
        b"not syslog at all, dyno=web.1 service=1ms",
        b"\xff\x00",
        b"",
    )

    assert (found.accepted, found.rejected, found.ignored) == (0, 0, 7)


def test_bad_times_and_keys_are_rejected() -> None:
    """A response time that is none, a dyno that is no key, and a time out of bounds are named."""
    found = read_lines(
        router("dyno=web.1 service=fastms"),
        router("dyno=web/1 service=1ms"),
        router(OK, at="2020-01-08T22:33:57.353034+00:00"),
    )

    assert (found.accepted, found.rejected) == (0, 3)
    assert [error.index for error in found.errors] == [0, 1, 2]


@pytest.mark.parametrize(
    "address",
    [
        "dyno=web.9 service=1ms",
        '" dyno=web.9 service=1ms x="',
        '" dyno="web.9" service="1ms',
        '"',
        '" x=',
        "\\",
        '\\" service=1ms \\',
    ],
)
def test_what_a_browser_sends_makes_no_message(address: str) -> None:
    """Whatever stands in an X-Forwarded-For, dyno and service are those of the router."""
    found = read_lines(router(OK.replace("198.51.100.7", address)))

    assert columns(found) == {"checkout.web.1": "22.0"}


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("Error L10 (output buffer overflow): 500 messages dropped since 2026-11-23T13:43:26", 500),
        ("- Error L10 (output buffer overflow): 1 message dropped since 2026-11-23T13:43:26", 1),
        ("Error L10 (output buffer overflow): drain 'd.1-2' dropped 7 messages since 2026-11", 7),
    ],
)
def test_what_logplex_lost_is_a_loss_report(text: str, lost: int) -> None:
    """A line L10 reports so many messages as dropped by the drain, in either of its forms."""
    found = read_lines(logplex(text, at=EARLIER), router(OK))

    assert dropped(found) == {"2026-11-23T13:checkout.drain": lost}
    assert columns(found) == {"checkout.web.1": "22.0"}


def test_an_app_cannot_report_losses_of_the_drain() -> None:
    """L10 in a line of an app is ignored."""
    found = read_lines(f"<190>1 {AT} host app web.1 - Error L10 x: 5 messages dropped".encode())

    assert (dropped(found), found.ignored) == ({}, 1)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_lines_are_found_by_the_number_of_their_bytes(lines: list[bytes]) -> None:
    """What is framed is read, whatever bytes the lines have, newlines and digits included."""
    assert frame_of(octets(lines)) == Frame(lines)


@settings(max_examples=30)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(line: bytes, rest: bytes) -> None:
    """Any bytes are messages, ignored or rejected; a frame that breaks off is named."""
    found = read_lines(line)
    assert found.accepted + found.reports + found.rejected + found.ignored <= 1

    broken = frame_of(octets([line]) + b"99999999 " + rest)
    assert broken == Frame([line], len((b"99999999 " + rest).strip()))


def test_what_breaks_off_is_rejected_and_the_lines_before_it_taken() -> None:
    """Whole lines of a frame that breaks off are messages; the rest is one error."""
    builder = BatchBuilder(arrival=NOW, retention_days=30, may_write=lambda _: True)
    read(frame_of(octets([router(OK)]) + b"500 <158>1 "), CHECKOUT, builder)

    assert (builder.accepted, builder.rejected) == (1, 1)
    assert "the last 10 bytes are no lines" in builder.errors[0].detail


def test_other_platforms_name_their_fields() -> None:
    """With fields named, every line that has both is a message; seconds become milliseconds."""
    fields = Fields("", key="container", duration="duration", only_router=False)
    builder = BatchBuilder(arrival=NOW, retention_days=30, may_write=lambda _: True)
    lines = [
        f'<158>1 {EARLIER} host shop router - path="/" container="web-1" duration=0.028s',
        "container=web-2 duration=1500us",
        "container=web-2 duration=12.5",
        "container=web-2",
    ]
    read(Frame.of_text("\n".join(lines).encode()), fields, builder)

    assert columns(builder) == {
        "2026-11-23T13:web-1": "28.0",
        "web-2": "1.5,12.5",
    }
    assert builder.ignored == 1


def test_what_a_frame_is_recognised_by_leaves_losses_out() -> None:
    """A frame is the same with a line L10 in front, which Logplex adds at each try."""
    lost = logplex("Error L10 (output buffer overflow): 3 messages dropped since 2026-11-23")

    def own(*lines: bytes) -> bytes:
        return frame_of(octets(lines)).own(lambda: None)

    assert own(lost, router(OK)) == own(router(OK))
    assert own(router(H12)) != own(router(OK))


def test_others_go_on_while_it_is_looked_for_what_recognises_a_frame() -> None:
    """After each line others may go on, since a frame may have very many."""
    pauses: list[None] = []

    frame_of(octets([router(OK)] * 1000)).own(lambda: pauses.append(None))

    assert len(pauses) == 1000


def test_a_frame_of_blanks_is_looked_at_once() -> None:
    """It takes about as long as to strip them, and not as long as to try each number of them."""
    blanks = b" " * 2_000_000

    assert_within(
        8, lambda: seconds_of(lambda: frame_of(blanks)) / seconds_of(lambda: blanks.strip())
    )


@pytest.mark.parametrize(
    "hard",
    [
        router("dyno=web.1 service=1ms " + 'a="' * 2500 + '\\"' * 2500),
        logplex("Error L10 1" * 1400),
        logplex("Error L10 " + "1" * 16_000),
    ],
    ids=["quotes", "errors", "digits"],
)
def test_lines_that_are_hard_to_read_hold_nobody_up(hard: bytes) -> None:
    """A line of thousands of beginnings without an end is read in a few milliseconds."""
    assert_within(0.05, lambda: seconds_of(lambda: read_lines(hard)))
