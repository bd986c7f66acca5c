"""report.html in a browser, as people open it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idtd_cli.report import html
from idtd_cli.report.document import Difference
from idtd_cli.report.videos import shown
from tests.report.making import report, result

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'idtd-cli[browser]'")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="no axe-playwright-python: pip install 'idtd-cli[browser]'"
)

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_PROGRAM = next(filter(None, map(shutil.which, _NAMES)), None)
pytestmark = pytest.mark.skipif(_PROGRAM is None, reason=f"no browser found: none of {', '.join(_NAMES)}")

CLASSES = ("left", "a_class_whose_name_is_one_long_word_that_no_phone_can_show_on_a_single_line_of_its_screen")
PLAYING = "[...document.querySelectorAll('video')].map(video => !video.paused && video.currentTime > 0)"


def whole_page() -> str:
    """A report with all that a page can have."""
    rng = np.random.default_rng(0)
    columns = {
        title: rng.integers(0, 256, (2, 8, 16, 16, 3), dtype=np.uint8)
        for title in ("real", "IDTD", "pixel matching", "herding coreset", "k-center coreset")
    }
    pair = Difference(one="idtd", other="random", ipc=1, students=2, top1=0.3, interval=(0.2, 0.4))
    long = "a-set-whose-folder-has-a-long-name-0123456789abcdef-0123456789abcdef"
    results = (
        result("full", None, [0.9]),
        *(result("random", ipc, [0.2, 0.3]) for ipc in (1, 5)),
        *(result("idtd", ipc, [0.5, 0.7], set=None if ipc == 5 else "idtd") for ipc in (1, 5)),
        result("pixel", 1, [0.4, 0.4], set=long, soft_labels=True),
        result("static-dynamic", 1, [0.1, 0.2]),
    )
    return html.render(report(*results, classes=CLASSES, differences=(pair,)), shown(CLASSES, columns))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(whole_page(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=_PROGRAM)
        yield started
        started.close()


@pytest.fixture
def context(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A phone, unless a test says otherwise."""
    opened = browser.new_context(**{"viewport": {"width": 390, "height": 844}} | getattr(request, "param", {}))
    yield opened
    opened.close()


def test_it_loads_without_a_word_and_without_the_network(context: Any, address: str) -> None:
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert page.title() == "idtd report: bars"


def test_videos_play_and_the_keyboard_stops_them(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    videos = page.locator("video").count()
    page.wait_for_function(f"{PLAYING}.every(Boolean)")
    assert page.evaluate(PLAYING) == [True] * videos == [True] * 10
    assert page.evaluate("[...document.querySelectorAll('video')].every(v => v.videoWidth === 128 && !v.controls)")
    button = page.get_by_role("button")
    button.press("Enter")
    assert button.inner_text() == "Play the videos"
    assert page.evaluate(PLAYING) == [False] * videos
    button.press("Space")
    assert button.inner_text() == "Pause the videos"
    page.wait_for_function(f"{PLAYING}.every(Boolean)")


def test_the_page_of_an_evaluation_plays(context: Any, reported: Path) -> None:
    page = context.new_page()
    page.goto((reported / "report.html").as_uri())
    page.wait_for_function(f"{PLAYING}.every(Boolean)")
    assert page.locator("video").count() == 3 * 2  # of each class a real video, and one of the set
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert violations(page) == []


@pytest.mark.parametrize("context", [{"reduced_motion": "reduce"}], indirect=True)
def test_nothing_moves_for_those_who_asked_for_that_until_they_say_so(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("[...document.querySelectorAll('video')].every(video => video.readyState >= 2)")
    assert not any(page.evaluate(PLAYING))
    button = page.get_by_role("button")
    assert button.inner_text() == "Play the videos"
    button.click()
    page.wait_for_function(f"{PLAYING}.every(Boolean)")


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_each_video_has_its_own_controls(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    assert page.locator("video[controls]").count() == 10
    assert page.locator("button").is_hidden()


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_nothing_sticks_out(context: Any, address: str, width: int) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_every_table_and_matrix_is_reached_by_keyboard(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    reached: list[str] = []
    while len(reached) < 40:
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(e => e === document.body ? '' : e.getAttribute('aria-label') || e.innerText)(document.activeElement)"
        )
        if not name:
            break
        reached.append(name)
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            page.keyboard.press("Enter")
    for name in (
        "Results: a row a result",
        "Pause the videos",
        "IDTD, 1 a class",
        "What was taken for what: IDTD, 1 a class",
    ):
        assert name in reached
    assert page.locator("details:not([open])").count() == 0


@pytest.mark.parametrize("context", [{"color_scheme": "dark"}], indirect=True)
def test_it_is_dark_where_the_system_is_and_light_on_paper(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(13, 17, 23)"
    page.emulate_media(media="print")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.locator("button").is_hidden()


def violations(page: Any) -> list[str]:
    """Rules of axe-core that are broken seriously, each with the first place."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = axe.Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in {"serious", "critical"}]


@pytest.mark.parametrize(
    "context", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_it_breaks_no_rule_of_accessibility(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    assert violations(page) == []


def test_a_broken_rule_would_be_found(context: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.html").write_text(whole_page().replace('<html lang="en">', "<html>"), encoding="utf-8")
    page = context.new_page()
    page.goto((tmp_path / "broken.html").as_uri())
    assert [rule.partition(":")[0] for rule in violations(page)] == ["html-has-lang"]


@pytest.mark.parametrize(("context", "beside"), [({}, 1), ({"viewport": {"width": 1280, "height": 900}}, 3)], indirect=["context"])  # fmt: skip # noqa: E501
def test_classes_are_side_by_side_where_there_is_room(context: Any, reported: Path, beside: int) -> None:
    page = context.new_page()
    page.goto((reported / "report.html").as_uri())
    tops = page.locator(".class").evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    assert tops.count(tops[0]) == beside
