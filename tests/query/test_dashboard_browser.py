"""The dashboard does what people do with it, in a real Chromium and on a real Redis."""

import json
import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect

from api.query.app import create_app
from metrics.connection import Connection
from metrics.settings import Settings
from ops.local.ports import free_port
from ops.local.redis_server import EmbeddedRedis, find_server
from tests.support.browser import CHROMIUM, NO_CHROMIUM, Watched, chromium, served
from tests.support.fleets import fill

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
SECRET = "a-read-token"  # noqa: S105
WIDE: ViewportSize = {"width": 1600, "height": 1000}
NARROW: ViewportSize = {"width": 380, "height": 800}
FLEET = "?key=checkout.*&day=2026-11-23"
SLOW = "checkout.web-3"


def values(hour: int, key: str) -> list[float]:
    """Return what a key has in an hour; one is slow at noon."""
    drawn = np.random.default_rng(hour).lognormal(4, 0.5, 60)
    return (drawn * (40 if (hour, key) == (12, SLOW) else 1)).tolist()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Yield a Redis with two days of a fleet and some odd keys."""
    server = EmbeddedRedis(
        find_server(), port=free_port(), folder=tmp_path_factory.mktemp("dashboard")
    ).start()
    connection = Connection.open(server.url, timeout_s=5.0, connections_max=8)
    fleet = [f"checkout.web-{i}" for i in (1, 2, 3)]
    for day, hours in ((22, range(8, 18)), (23, range(8, 15))):
        for hour in hours:
            fill(connection, {key: values(hour, key) for key in fleet}, f"2026-11-{day}T{hour:02}")
    fill(connection, {"one.point": [123.4], "zeros": [0.0, 0.0], "wide": [0.001, 7.0, 1e9]})
    yield connection
    connection.close()
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield one browser for all tests of this file."""
    with chromium() as browser:
        yield browser


def service(redis: Connection, **environ: str) -> Iterator[str]:
    """Serve the query service at half past two; yield its URL."""
    settings = Settings.from_env({"REDIS_URL": "redis://unused", **environ})
    with served(create_app(redis, settings, now=NOW.timestamp)) as url:
        yield url


@pytest.fixture(scope="module")
def url(redis: Connection) -> Iterator[str]:
    """Yield the URL of the query service."""
    yield from service(redis)


@pytest.fixture(scope="module")
def closed_url(redis: Connection) -> Iterator[str]:
    """Yield the URL of one that asks for a token."""
    yield from service(redis, METRICS_READ_TOKENS=SECRET)


def context_at_half_past_two(browser: Browser) -> BrowserContext:
    """Return a browser's memory of its own."""
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce", locale="en-GB")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.clock.install(time=NOW)
    return context


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Watched]:
    """Yield one tab for all tests of this file: what is loaded once is loaded fast."""
    context = context_at_half_past_two(browser)
    yield Watched(context.new_page())
    context.close()


@pytest.fixture
def watched(tab: Watched) -> Iterator[Watched]:
    """Yield the tab, and see that it had no fault at the end."""
    tab.page.set_viewport_size(WIDE)
    tab.urls.clear()
    yield tab
    tab.page.unroute_all(behavior="ignoreErrors")
    assert tab.faults == []


@pytest.fixture
def page(watched: Watched) -> Page:
    """Return the page of the tab, whose faults are watched."""
    return watched.page


def point(page: Page, hour: float, height: float) -> tuple[float, float]:
    """Return where an hour of the day is on the main chart, at a share of its height."""
    box = page.locator("#main-chart .u-over").bounding_box()
    assert box is not None
    return box["x"] + box["width"] * hour / 24, box["y"] + box["height"] * height


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw over a part of the chart."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def test_a_key_is_chosen_among_those_that_begin_with_what_is_typed(page: Page, url: str) -> None:
    """Typing lists keys and prefixes; arrows and Enter choose one, and it is in the URL."""
    page.goto(f"{url}/?key=one.point&day=2026-11-23")
    page.fill("#key", "check")
    expect(page.locator("#key-list [role=option]")).to_have_text(
        ["check*", "checkout.*", "checkout.web-1", "checkout.web-2", "checkout.web-3"]
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page.locator("#title")).to_have_text("checkout.*, Mon 23 Nov")
    expect(page.locator("#headline .value").first).to_have_text("1,260")
    assert page.url.endswith("/?key=checkout.*&day=2026-11-23")


def test_without_a_choice_the_newest_key_is_shown_today(watched: Watched, url: str) -> None:
    """The first visit shows something: the key with the newest messages, of today, in one request.

    All files of the page together are less than 150 KB on the wire.
    """
    page, sizes = watched.page, []
    page.on("requestfinished", lambda each: sizes.append(each.sizes()["responseBodySize"]))
    page.goto(f"{url}/")

    expect(page.locator("#title")).to_have_text("checkout.web-1, Mon 23 Nov")
    expect(page.locator("#status")).to_contain_text("audit balances")
    assert len(watched.asked("/histogram/")) == 1
    assert all(each.startswith(url) for each in watched.urls)
    assert sum(sizes) < 150_000


def test_an_hour_is_opened_by_click_and_by_keyboard(page: Page, url: str) -> None:
    """A click opens an hour; arrows move and say what is there, Enter opens, Escape closes."""
    page.goto(f"{url}/{FLEET}")
    page.mouse.click(*point(page, 12.5, 0.5))
    expect(page.locator("#hour-title")).to_have_text("Mon 23 Nov, 12:00–13:00")
    assert page.url.endswith("&hour=2026-11-23T12")
    page.mouse.move(0, 0)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#live")).to_contain_text("Mon 23 Nov, 11:00–12:00: 180 messages")
    page.keyboard.press("Enter")

    expect(page.locator("#hour-title")).to_have_text("Mon 23 Nov, 11:00–12:00")
    expect(page.locator("#hour-summary dd").first).to_contain_text("180")
    page.keyboard.press("Escape")
    expect(page.locator("#hour-title")).to_have_text("All hours together")


def test_a_marked_region_names_the_instances_behind_it(page: Page, url: str) -> None:
    """Who draws over the slow hour of a fleet learns which instance it is; so does who reloads."""
    page.goto(f"{url}/{FLEET}")
    drag(page, point(page, 12.2, 0.02), point(page, 12.8, 0.3))
    expect(page.locator(".origins li").first).to_contain_text(SLOW)
    expect(page.locator("#live")).to_contain_text(f"Most of the marked messages come from {SLOW}")
    assert "mark=2026-11-23T12..2026-11-23T12," in page.url
    page.reload()

    expect(page.locator(".origins li button")).to_have_text([SLOW])
    page.click(".origins li button")
    expect(page.locator("#title")).to_have_text(f"{SLOW}, Mon 23 Nov")
    page.go_back()
    expect(page.locator(".origins li button")).to_have_text([SLOW])


def test_a_region_is_marked_by_keyboard(page: Page, url: str) -> None:
    """Shift and arrows mark, and a button marks the slowest of an hour: it takes no mouse."""
    page.goto(f"{url}/{FLEET}&hour=2026-11-23T12")
    page.click("#mark-slowest")
    expect(page.locator(".origins li button")).to_have_text([SLOW])
    page.click("#unmark")
    page.focus("#main-chart")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")

    expect(page.locator("#marked-title")).to_contain_text("Mon 23 Nov, 13:00–14:00")
    expect(page.locator(".origins li button").first).to_be_visible()


def test_the_copied_line_asks_for_what_is_shown(page: Page, url: str) -> None:
    """The curl line that is copied gets the numbers that the page shows."""
    page.goto(f"{url}/{FLEET}")
    expect(page.locator("#headline .value").first).to_have_text("1,260")
    page.click("[data-copies=curl]")
    expect(page.locator("[data-copies=curl]")).to_have_text("Copied")
    line = page.evaluate("navigator.clipboard.readText()")

    assert line == f"curl -s '{url}/checkout.*/histogram/2026-11-23?compare=1d'"
    with urllib.request.urlopen(line.split("'")[1]) as answer:  # noqa: S310
        assert json.load(answer)["whole"]["count"] == 1260


def test_a_url_shows_the_same_to_whoever_opens_it(page: Page, url: str) -> None:
    """View, days, zone, comparison and hour are in the URL."""
    page.goto(f"{url}/{FLEET}")
    page.click("[data-view=lines]")
    page.select_option("#compare", "7d")
    page.focus("#zone")
    page.select_option("#zone", "Europe/Berlin")
    page.fill("#from", "2026-11-22")
    page.locator("#from").dispatch_event("change")
    expect(page.locator("#title")).to_have_text("checkout.*, Sun 22 Nov – Mon 23 Nov")
    page.mouse.click(*point(page, 18.75, 0.5))
    expect(page.locator("#hour-title")).to_have_text("Mon 23 Nov, 13:00–14:00")
    other = page.context.new_page()
    other.goto(page.url)

    expect(other.locator("#hour-title")).to_have_text("Mon 23 Nov, 13:00–14:00")
    expect(other.locator("#title")).to_have_text("checkout.*, Sun 22 Nov – Mon 23 Nov")
    expect(other.locator("[data-view=lines]")).to_have_attribute("aria-pressed", "true")
    expect(other.locator("#compare")).to_have_value("7d")
    expect(other.locator("#zone")).to_have_value("Europe/Berlin")
    expect(other.locator("#curl")).to_contain_text(
        "/histogram/2026-11-22..2026-11-23?tz=Europe/Berlin&compare=7d"
    )
    other.close()


def test_an_open_hour_is_hatched_and_refreshed(page: Page, redis: Connection, url: str) -> None:
    """While an hour is open the page says until when it is, and asks again by itself."""
    page.goto(f"{url}/?key=open.hour&day=today")
    expect(page.locator("#problem")).to_contain_text("No key is named open.hour")
    fill(redis, {"open.hour": [5.0]}, "2026-11-23T14")
    page.clock.fast_forward(300_000)

    expect(page.locator("#headline .value").first).to_have_text("1")
    expect(page.locator("#main-legend")).to_contain_text("not complete, as of")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_table_under_each_chart_has_its_numbers(page: Page, url: str) -> None:
    """What the charts show can be read as tables."""
    page.goto(f"{url}/{FLEET}&hour=2026-11-23T12")
    for name in ("#hours-table", "#counts-table", "#buckets-table"):
        page.click(f"{name} summary")

    noon = page.locator("#counts-table tr", has_text="12:00–13:00")
    expect(noon.locator("td")).to_have_text(["180", "180", "yes", re.compile("Z$"), "0", "0"])
    expect(page.locator("#hours-table tbody tr")).to_have_count(24)
    expect(page.locator("#buckets-table caption")).to_contain_text("Mon 23 Nov, 12:00–13:00")


def test_a_token_is_asked_for_and_kept_for_the_tab(browser: Browser, closed_url: str) -> None:
    """A service with tokens asks for one; it is sent in a header, and kept for the tab alone."""
    context = context_at_half_past_two(browser)
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(f"{closed_url}/{FLEET}")
    page.fill("#token", "a-wrong-one")
    page.click("text=Use it")
    expect(page.locator("#token")).to_be_visible()
    page.fill("#token", SECRET)
    page.click("text=Use it")
    expect(page.locator("#headline .value").first).to_have_text("1,260")
    page.reload()
    expect(page.locator("#headline .value").first).to_have_text("1,260")

    assert watched.asked(SECRET) == []
    assert SECRET not in page.locator("#curl").inner_text()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator("#token")).to_be_visible()
    page.click("#forget-token")
    expect(page.locator("#token")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    assert all("401" in fault for fault in watched.faults)
    context.close()


def test_the_status_line_has_backlog_oldest_message_and_audit(page: Page, url: str) -> None:
    """The foot of the page says what waits and for how long, of the worst partition."""
    series = 'metrics_backlog_oldest_seconds{partition="%d"} %s\n'
    page.route(
        "**/metrics", lambda route: route.fulfill(body=series % (0, "0.0") + series % (1, "75.2"))
    )
    page.goto(f"{url}/{FLEET}")

    expect(page.locator("#status .part")).to_have_text(
        ["audit balances", "backlog empty", "oldest message 75 s"]
    )


def test_text_is_never_markup(watched: Watched, url: str) -> None:
    """Whatever an answer says is shown as text: keys, errors, hours."""
    page, markup = watched.page, "<img src=x onerror=alert(1)>"

    def answer(route: Route) -> None:
        route.fulfill(json={"keys": [{"key": markup, "newest_hour": markup}] * 2, "next": None})

    page.route("**/keys?*", answer)
    page.route(
        "**/histogram/**", lambda route: route.fulfill(json={"hours": [], "whole": None, "key": 1})
    )
    page.goto(f"{url}/?key={markup}&day={markup}&hour={markup}&mark={markup}&tz={markup}")
    page.fill("#key", "x")

    expect(page.locator("#key-list [role=option]", has_text=markup).first).to_be_visible()
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("key", ["checkout.*", "one.point", "zeros", "wide", "nobody"])
def test_it_fits_at_any_width(page: Page, url: str, key: str) -> None:
    """No page is wider than its window, with much data, with none, and over twelve decades."""
    page.set_viewport_size(NARROW)
    page.goto(f"{url}/?key={key}&day=2026-11-23&hour=2026-11-23T14")
    for size in (NARROW, WIDE):
        page.set_viewport_size(size)
        expect(page.locator("#hour-title")).to_have_text("Mon 23 Nov, 14:00–15:00")
        expect(page.locator("#main-chart canvas")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_everybody_can_use_it(
    page: Page, url: str, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    """Axe finds nothing serious, in light and in dark: no text too pale, nothing without a name."""
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{url}/{FLEET}&hour=2026-11-23T12&mark=2026-11-23T12..2026-11-23T12,1000..9000")
    expect(page.locator(".origins li button")).to_have_text([SLOW])
    page.click("#hours-table summary")

    assert serious_in(page) == []


def serious_in(page: Page) -> list[str]:
    """Return what axe finds serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {[node['html'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_scripts_are_small_and_say_what_they_are() -> None:
    """Each script has one idea, which its first line says, and less than 300 lines."""
    folder = Path("api/query/dashboard/page")
    for path in folder.glob("*.js"):
        lines = path.read_text("utf-8").splitlines()
        assert lines[0].startswith("// "), path
        assert len(lines) < 300, path
