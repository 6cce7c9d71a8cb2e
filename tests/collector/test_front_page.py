"""``GET /`` of the collector: lines to paste for curl, a page without scripts for a browser."""

import hashlib
import re
import shlex
from base64 import b64encode
from html.parser import HTMLParser

import falcon.testing
import pytest

from api.collector.front_page import QUERY_PORT_OFFSET
from metrics.connection import Connection
from ops.local.run import SERVICES
from tests.collector.test_collector import client_of

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CURL = "*/*"


def front_page(
    connection: Connection, accept: str, host: str = "localhost:8000", **environ: str
) -> falcon.testing.Result:
    """Return what ``GET /`` answers."""
    result = client_of(connection, **environ).simulate_get(
        "/", headers={"Accept": accept, "Host": host}
    )
    assert result.status_code == 200
    return result


def pasted(text: str) -> list[list[str]]:
    """Return the lines to paste, as a shell takes them apart."""
    return [shlex.split(line) for line in text.splitlines() if re.match("  (curl|printf) ", line)]


def urls(text: str) -> list[str]:
    """Return what the lines ask, each behind its ``curl``."""
    return [words[words.index("curl") + 1] for words in pasted(text)]


class Page(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements[tag] = dict(attrs)


def test_curl_gets_lines_to_paste(connection: Connection) -> None:
    """Lines send to where the answer came from, and ask the query service 100 ports above."""
    result = front_page(connection, CURL)

    assert result.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert urls(result.text) == [
        *["localhost:8000/messages"] * 4,
        "http://localhost:8100/checkout.web-1/median/today/now",
        "http://localhost:8100/",
    ]
    assert SERVICES["query"] - SERVICES["collector"] == QUERY_PORT_OFFSET
    assert "METRICS_QUERY_URL" in result.text


def test_a_browser_gets_a_page_that_points_to_the_dashboard(connection: Connection) -> None:
    """The page has the same lines and a link; its policy allows its one style and nothing else."""
    result = front_page(connection, BROWSER)

    page = Page(result.text)
    style = re.findall("<style>(.*?)</style>", result.text, re.DOTALL)[0]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = result.headers["Content-Security-Policy"]
    assert page.elements["a"]["href"] == "http://localhost:8100/"
    assert "curl localhost:8000/messages -d" in result.text
    assert result.headers["Content-Type"] == "text/html; charset=utf-8"
    assert result.headers["Vary"] == "Accept"
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "frame-ancestors 'none'" in policy
    assert not {"script", "link", "img", "iframe"} & page.elements.keys()


def test_a_setting_says_where_the_query_service_is(connection: Connection) -> None:
    """METRICS_QUERY_URL is where lines ask and the link points, in the place of a guess."""
    for accept in (CURL, BROWSER):
        text = front_page(
            connection, accept, METRICS_QUERY_URL="https://query.example/metrics/"
        ).text

        assert "https://query.example/metrics/checkout.web-1/median/today/now" in text
        assert "8100" not in text


@pytest.mark.parametrize(
    ("host", "here", "query"),
    [
        ("10.0.0.7:9000", "10.0.0.7:9000", "http://10.0.0.7:9100"),
        ("metrics.example", "metrics.example", "http://metrics.example:9100"),
        ("[::1]:9000", "[::1]:9000", "http://[::1]:9100"),
        ("$(id):9000", "localhost:9000", "http://localhost:9100"),
        ("-o:9000", "localhost:9000", "http://localhost:9100"),
        ("'&\"><b>", "localhost:9000", "http://localhost:9100"),
    ],
)
def test_lines_are_safe_to_paste_whatever_the_host_is_called(
    connection: Connection, host: str, here: str, query: str
) -> None:
    """The Host header is shown if it is a plain name or address; otherwise localhost is."""
    result = front_page(connection, CURL, host, PORT="9000")

    assert {url.removesuffix("/messages") for url in urls(result.text)[:4]} == {here}
    assert urls(result.text)[-1] == f"{query}/"


def test_where_tokens_are_asked_for_the_lines_have_them(connection: Connection) -> None:
    """No token is needed for the page; its lines send one from a variable, and never show one."""
    tokens = {"METRICS_WRITE_TOKENS": "secret-w", "METRICS_READ_TOKENS": "secret-r"}

    text = front_page(connection, CURL, **tokens).text

    assert text.count('-H "Authorization: Bearer $WRITE_TOKEN"') == 4
    assert text.count('-H "Authorization: Bearer $READ_TOKEN"') == 2
    assert "secret" not in text
