"""The report in a real browser: it draws everything, asks nobody, and can be searched, walked through and read."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polyhull.cli.page import page
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.planning.decide import decide
from polyhull.planning.helping import helped
from tests.builders import job, option, random_snapshot

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,900",
)  # fmt: skip
HOSTILE = "</script><img src=x onerror=alert(1)>"
Open = Callable[[Snapshot, Decision], Any]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver (make setup does it as root)")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver's path is given: nothing is looked up or downloaded.
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.get("about:blank")
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Open:
    def open_it(case: Snapshot, plan: Decision) -> Any:
        (tmp_path / "page.html").write_text(page(case, plan, "a plan"), encoding="utf-8")
        browser.get_log("performance")
        browser.get((tmp_path / "page.html").as_uri())
        return browser

    return open_it


@pytest.fixture(scope="module")
def thirty() -> tuple[Snapshot, Decision]:
    case = random_snapshot(11, 30, 6, 3)
    nowhere = job("nowhere", [option("v100", devices=999)])
    case = replace(case, jobs=(*case.jobs, nowhere))
    return case, helped(case, decide(case))


def asked_for(browser: Any) -> list[str]:
    """Every address that the page asked for."""
    entries = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [one["params"]["request"]["url"] for one in entries if one["method"] == "Network.requestWillBeSent"]


def shown(browser: Any, selector: str) -> list[str]:
    script = (
        "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).map(e => e.textContent)"
    )
    found: list[str] = browser.execute_script(script, selector)
    return found


def bars(browser: Any, kind: str) -> int:
    return len(browser.find_elements("css selector", f'.chart .bar[data-key^="{kind}:"]'))


def test_everything_is_drawn_without_asking_anybody(opened: Open, thirty: tuple[Snapshot, Decision]) -> None:
    case, plan = thirty
    browser = opened(case, plan)
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    addresses = asked_for(browser)
    assert len(addresses) >= 1
    own = ("file://", "data:", "chrome://")  # the last: the browser's own start page, which may still be loading
    assert [one for one in addresses if not one.startswith(own)] == []
    assert bars(browser, "job") == len(plan.assignments) == 30
    assert bars(browser, "move") == sum(len(move.links) for move in plan.transfers)
    assert len(shown(browser, "#rows tr")) == 30
    text = browser.find_element("css selector", "main").text
    assert "team/nowhere NoCapacity" in text or "team/nowhere PoolTooSmall" in text
    assert "keeping jobs at their data" in text
    for name in {one.pool for one in plan.assignments}:
        assert name in shown(browser, ".label strong")


def test_a_bar_lies_where_its_times_say(opened: Open, thirty: tuple[Snapshot, Decision]) -> None:
    case, plan = thirty
    browser = opened(case, plan)
    script = """const [bar, track] = [document.querySelector(arguments[0]), null];
        const outer = bar.closest('.track').getBoundingClientRect(), inner = bar.getBoundingClientRect();
        return [(inner.left - outer.left) / outer.width, inner.width / outer.width];"""
    ordered = sorted(plan.assignments, key=lambda one: one.job)
    horizon = max([plan.makespan_seconds, *(move.end_seconds for move in plan.transfers)])
    for index, one in enumerate(ordered[:5]):
        left, width = browser.execute_script(script, f'[data-key="job:{index}"].bar')
        assert left == pytest.approx(one.start_seconds / horizon, abs=0.004)
        assert width == pytest.approx((one.end_seconds - one.start_seconds) / horizon, abs=0.006)


def test_search_narrows_rows_and_dims_bars(opened: Open, thirty: tuple[Snapshot, Decision]) -> None:
    browser = opened(*thirty)
    browser.find_element("id", "search").send_keys("job-001")
    assert sorted(row.partition("site-")[0] for row in shown(browser, "#rows tr")) == [
        f"team/job-001{n}" for n in range(10)
    ]
    assert browser.find_element("id", "found").text == "10 of 30 jobs"
    bright = browser.find_elements("css selector", '.chart .bar[data-key^="job:"]:not(.dim)')
    assert len(bright) == 10
    browser.find_element("id", "search").send_keys(" nonsense")
    assert shown(browser, "#rows tr") == []


def test_details_open_by_mouse_and_by_keyboard_and_close(opened: Open, thirty: tuple[Snapshot, Decision]) -> None:
    from selenium.webdriver.common.keys import Keys

    case, plan = thirty
    browser = opened(case, plan)
    index, one = next(
        (i, one)
        for i, one in enumerate(sorted(plan.assignments, key=lambda one: one.job))
        if one.explanation.helps and one.explanation.alternatives
    )
    bar = browser.find_element("css selector", f'.chart .bar[data-key="job:{index}"]')
    browser.execute_script("arguments[0].click()", bar)
    text = browser.find_element("id", "details").text
    for words in (one.job.name, one.pool, one.explanation.binds, one.explanation.helps[0].change):
        assert words in text
    assert one.explanation.alternatives[0].pool in text
    browser.find_element("id", "details").send_keys(Keys.ESCAPE)
    assert not browser.find_element("id", "details").is_displayed()

    first = browser.find_element("css selector", '.chart .bar[tabindex="0"]')
    first.send_keys(Keys.ARROW_DOWN)
    second = browser.switch_to.active_element
    assert second.get_attribute("data-key") != first.get_attribute("data-key")
    assert "in site-" in str(second.get_attribute("aria-label"))
    assert browser.find_element("id", "tip").is_displayed()
    second.send_keys(Keys.ENTER)
    assert browser.find_element("id", "details").is_displayed()
    assert len(browser.find_elements("css selector", '.chart .bar[tabindex="0"]')) == 1


def test_zoom_widens_the_plane_and_nodes_unfold(opened: Open, thirty: tuple[Snapshot, Decision]) -> None:
    browser = opened(*thirty)
    width = "return document.querySelector('.track').getBoundingClientRect().width"
    before = browser.execute_script(width)
    browser.find_element("css selector", '[aria-label="Zoom in"]').click()
    assert browser.execute_script(width) == pytest.approx(1.6 * before, rel=0.02)
    browser.find_element("css selector", '[aria-label="Show all of it"]').click()
    # A scrollbar may have come meanwhile: 15 of some 1,100 pixels.
    assert browser.execute_script(width) == pytest.approx(before, rel=0.02)
    count = bars(browser, "job")
    button = browser.find_element("css selector", ".row .label .link")
    button.click()
    assert bars(browser, "job") > count
    assert len(shown(browser, ".row.node")) >= 1
    button.click()
    assert bars(browser, "job") == count


def test_names_are_text_and_never_markup(opened: Open, thirty: tuple[Snapshot, Decision]) -> None:
    case, plan = thirty
    first = plan.assignments[0]
    evil = replace(first, job=Key(HOSTILE, HOSTILE), pool=first.pool, option=HOSTILE)
    plan = replace(plan, assignments=(evil, *plan.assignments[1:]))
    browser = opened(case, plan)
    assert browser.execute_script("return document.images.length") == 0
    assert bars(browser, "job") == 30
    assert any(HOSTILE in row for row in shown(browser, "#rows tr"))
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    text = page(case, plan, HOSTILE)
    assert HOSTILE not in text
    assert text.count("</script>") == 2


def test_a_thousand_jobs_are_drawn_and_searched(
    opened: Open, thirty: tuple[Snapshot, Decision], tmp_path: Path
) -> None:
    case, plan = thirty
    many = tuple(
        replace(one, job=Key("team", f"copy-{n:02d}-{one.job.name}"), order=n)
        for n in range(34)
        for one in plan.assignments
    )
    browser = opened(case, replace(plan, assignments=many))
    assert bars(browser, "job") == 1020
    browser.find_element("id", "search").send_keys("copy-07-")
    assert browser.find_element("id", "found").text == "30 of 1,020 jobs"
    picture = tmp_path / "page.png"
    assert browser.save_screenshot(str(picture))
    assert picture.stat().st_size > 20_000


def test_a_streamed_read_is_on_its_link_and_with_its_job(opened: Open) -> None:
    from polyhull.domain.workloads import Access, DataInput
    from tests.builders import data_set, fleet, key, link, pool, snapshot

    where = fleet([pool("a", "npu", 0), pool("b", "v100", 1)], [link("a", "b", 1.0)])
    stream = DataInput(key("d", "DataSet"), Access.STREAM, 4)
    case = snapshot(
        where, [replace(job("reads", [option("v100")], 100.0), inputs=(stream,))], [data_set("d", 2, "a")]
    )
    plan = decide(case)
    assert plan.assignments[0].reads
    browser = opened(case, plan)
    bar = browser.find_element("css selector", ".chart .bar.streamed")
    browser.execute_script("arguments[0].click()", bar)
    assert "read while computing" in browser.find_element("id", "details").text
    assert "team/reads" in browser.find_element("id", "details").text


def test_light_and_dark_differ_and_the_button_switches(opened: Open, thirty: tuple[Snapshot, Decision]) -> None:
    browser = opened(*thirty)
    back = "return getComputedStyle(document.body).backgroundColor"
    seen = {browser.execute_script(back)}
    browser.find_element("id", "theme").click()
    seen.add(browser.execute_script(back))
    assert len(seen) == 2


def test_an_empty_plan_is_a_page_too(opened: Open) -> None:
    from tests.builders import fleet, pool, snapshot

    case = snapshot(fleet([pool("a", "v100", 1)]))
    browser = opened(case, decide(case))
    assert bars(browser, "job") == 0
    told = browser.find_element("css selector", "main").text
    assert "There is no job to plan." in told and "Everything finishes in" not in told
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_page_refers_to_nothing_outside(thirty: tuple[Snapshot, Decision]) -> None:
    text = page(*thirty, title="x")
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!data:,)""", text) == []
    assert "@import" not in text and "url(" not in text
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert page(*thirty, title="x") == text
