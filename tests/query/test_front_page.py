"""``GET /`` is the dashboard for a browser, and lines to paste for curl."""

import gzip
import re
import shlex

import falcon.testing
import pytest

from api.query.dashboard.static_files import FOLDER, static_files
from metrics.connection import Connection
from tests.query.test_query import client_of
from tests.support.fleets import fill

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
CURL = {"Accept": "*/*"}
SECRET = "a-read-token"  # noqa: S105


def lines_in(text: str) -> list[str]:
    """Return the lines that are meant to be pasted."""
    return re.findall(r"^  (curl .+?) +# ", text, re.MULTILINE)


def urls_in(text: str) -> list[str]:
    """Return what the lines ask for."""
    return [shlex.split(line)[-1] for line in lines_in(text)]


@pytest.fixture
def away() -> falcon.testing.TestClient:
    """Return a client of a service with tokens whose Redis is away: the page needs neither."""
    connection = Connection.open("redis://127.0.0.1:1", timeout_s=0.1, connections_max=1)
    return client_of(connection, METRICS_READ_TOKENS=SECRET)


@pytest.fixture
def client(connection: Connection) -> falcon.testing.TestClient:
    """Return a client of a service that has messages of three keys."""
    fill(connection, {"checkout.web-1": [10.0, 20.0], "search": [1.0]}, "2026-11-23T09")
    fill(connection, {"checkout.web-2": [30.0]})
    return client_of(connection)


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "application/json", None])
def test_who_is_no_browser_gets_lines_that_work_as_they_are(
    client: falcon.testing.TestClient, accept: str | None
) -> None:
    """Each line of the text is answered: its key and its hour exist, its host is the one asked."""
    found = client.simulate_get("/", headers={"Accept": accept} if accept else {}, host="q:8100")

    assert found.headers["content-type"].startswith("text/plain")
    urls = urls_in(found.text)
    assert urls[0] == "q:8100/checkout.web-2/summary/2026-11-23/14"
    assert "q:8100/checkout.*/p99/2026-11-23/14" in urls
    for url in urls:
        path, _, query = url.removeprefix("q:8100").partition("?")
        assert client.simulate_get(path, query_string=query).status_code == 200, url


def test_without_messages_the_text_says_how_to_send_one(connection: Connection) -> None:
    """An empty service names the collector's line first."""
    text = client_of(connection).simulate_get("/", headers=CURL).text

    assert "There are no messages yet." in text
    assert lines_in(text)[0].endswith("/messages -d 'checkout.web-1,98.1'")


@pytest.mark.parametrize("host", ["x;rm -rf ~", "$(id)", "a b", "a'b", "evil.example\n  curl x # "])
def test_a_host_that_is_none_is_in_no_line(connection: Connection, host: str) -> None:
    """What a Host header says is not pasted into shells, unless it is a name and a port."""
    fill(connection, {"checkout.web-1": [1.0]})
    client = client_of(connection)

    text = client.simulate_get("/", headers=CURL, extras={"HTTP_HOST": host}).text

    assert host not in text
    assert all(url.startswith("localhost:8100/") for url in urls_in(text))


def test_with_tokens_the_text_names_only_what_a_token_may_read(connection: Connection) -> None:
    """Without a token no key is named; with one, keys that it covers."""
    fill(connection, {"checkout.web-1": [1.0], "search.api": [1.0]})
    client = client_of(connection, METRICS_READ_TOKENS=f"search.*={SECRET}")
    sent = {"Authorization": f"Bearer {SECRET}"}

    closed = client.simulate_get("/", headers=CURL)
    opened = client.simulate_get("/", headers=CURL | sent)

    assert closed.status_code == 200
    assert "web-1" not in closed.text
    assert "api" not in closed.text
    assert "search.api" in opened.text
    assert "checkout" not in opened.text
    assert all('-H "Authorization: Bearer $TOKEN"' in each for each in lines_in(opened.text))
    assert SECRET not in opened.text


def test_a_browser_gets_the_page_without_a_token_and_without_redis(
    away: falcon.testing.TestClient,
) -> None:
    """The page holds no data: it comes whatever Redis does, and asks for a token itself."""
    found = away.simulate_get("/", headers=BROWSER)

    assert found.status_code == 200
    assert found.headers["content-type"].startswith("text/html")
    assert found.headers["vary"] == "Accept, Accept-Encoding"


def test_the_page_runs_nothing_but_its_own_files(away: falcon.testing.TestClient) -> None:
    """A strict policy: own scripts and styles only, none within the page, no markup from text."""
    found = away.simulate_get("/", headers=BROWSER)
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in found.headers["content-security-policy"].split(";")
    )

    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in found.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?:", found.text)


def test_each_file_of_the_page_is_there_and_kept_for_good(away: falcon.testing.TestClient) -> None:
    """All that the page names is answered under a path that changes with it, for a year."""
    page = away.simulate_get("/", headers=BROWSER).text
    names = re.findall(r'(?:src|href)="(_dashboard/[^"]+)"', page)

    assert len(names) > 20
    for name in names:
        found = away.simulate_get(f"/{name}")
        assert found.status_code == 200, name
        assert found.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_every_module_is_loaded_at_once(away: falcon.testing.TestClient) -> None:
    """The page names all modules that its modules import: none is found late."""
    page = away.simulate_get("/", headers=BROWSER).text
    preloaded = set(re.findall(r'modulepreload" href="_dashboard/\w+/([^"]+)"', page))

    imported = {
        name
        for path in FOLDER.glob("*.js")
        for name in re.findall(r'from "\./([^"]+)"', path.read_text("utf-8"))
    }
    assert imported | {"main.js"} == preloaded


def test_a_file_of_another_version_is_not_kept(away: falcon.testing.TestClient) -> None:
    """While processes are replaced, a page of one may ask another: it works, and is asked again."""
    found = away.simulate_get("/_dashboard/0123456789abcdef/main.js")

    assert found.status_code == 200
    assert found.headers["cache-control"] == "no-cache"


def test_files_are_sent_packed_and_only_if_they_changed(away: falcon.testing.TestClient) -> None:
    """Packed where that is taken; 304 for who has it; both have an ETag of their own."""
    path = f"/_dashboard/{static_files().version}/style.css"
    plain = away.simulate_get(path)
    packed = away.simulate_get(path, headers={"Accept-Encoding": "br, gzip"})

    assert gzip.decompress(packed.content) == plain.content
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["etag"] != packed.headers["etag"]
    for found, takes in ((plain, {}), (packed, {"Accept-Encoding": "gzip"})):
        again = away.simulate_get(path, headers={"If-None-Match": found.headers["etag"], **takes})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "static_files.py", "..", "%2e%2e", "%00"])
def test_no_other_file_is_answered(away: falcon.testing.TestClient, name: str) -> None:
    """Only files of the page: no path leads out of its folder."""
    found = away.simulate_get(f"/_dashboard/1/{name}")

    assert found.status_code == 404


def test_head_is_answered_without_a_body(away: falcon.testing.TestClient) -> None:
    """HEAD has the headers of GET, of the page, the text and the files."""
    for path, headers in (("/", BROWSER), ("/", CURL), ("/_dashboard/1/main.js", {})):
        found = away.simulate_head(path, headers=headers)
        assert (found.status_code, found.content) == (200, b"")
