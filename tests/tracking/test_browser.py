"""What a user does on MLflow's pages, in a real browser: sort the trials, compare some, find the promoted ensemble.

Each test keeps pictures of what it saw, in the folder named by AIO_TUNE_SCREENSHOTS, else in its temporary folder.
What is asserted is what the pages show; what it should be is read from the ledger.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aio_tune.ledger import Ledger, read_events
from aio_tune.tracking import Mirror, promote, pyfunc, register_search
from tests.tracking.conftest import EXPERIMENT, new_store, stand_in_ensemble, write_end, write_search, write_trial
from tests.tracking.serving import Server

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEARCH = "breast"
METRIC = "cv_auc_mean"
NUMERIC = ("learning_rate", "filters", "dropout")
# State, AUC and its deviation over the folds, learning rate, filters, dropout. Neither the order of the trials nor
# that of a parameter is the order of the AUC, and two of the five AUCs differ in the third digit only.
TRIALS: tuple[tuple[str, tuple[float, float] | None, float, int, float], ...] = (
    ("COMPLETE", (0.712, 0.041), 1e-4, 16, 0.1),
    ("PRUNED", None, 3e-3, 8, 0.4),
    ("COMPLETE", (0.836, 0.018), 4e-4, 48, 0.25),
    ("FAIL", None, 1e-2, 64, 0.5),
    ("COMPLETE", (0.804, 0.022), 1e-3, 32, 0.3),
    ("COMPLETE", (0.807, 0.025), 2e-4, 64, 0.2),
    ("PRUNED", None, 5e-3, 16, 0.0),
    ("COMPLETE", (0.761, 0.033), 8e-4, 24, 0.35),
)
BEST = 2
EARLIER = 5  # registered before the best one, and not promoted

# The rows of the table of runs from top to bottom, as a user sees them: a grid that moves its rows about without
# changing their order in the document, each in two halves of which one does not scroll.
ROWS = """
const rows = new Map();
for (const part of document.querySelectorAll('.ag-row')) {
    const key = part.getAttribute('row-id');
    const row = rows.get(key) || {top: part.getBoundingClientRect().top, cells: {}};
    const link = part.querySelector('a[href*="/runs/"]');
    if (link) row.name = link.innerText.trim();
    for (const cell of part.querySelectorAll('[col-id]')) {
        const named = cell.getAttribute('col-id').match(/`(.*)`/);
        if (named) row.cells[named[1]] = cell.innerText.trim();
    }
    rows.set(key, row);
}
return [...rows.values()].sort((one, other) => one.top - other.top);
"""

# The texts on one line with a label, right of it. The comparison is several tables and grids that only look like one.
RIGHT_OF = """
const texts = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.textContent.trim() || node.parentElement.closest('[role=tabpanel], style, script')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width) texts.push({text: node.textContent.trim(), left: box.left, middle: (box.top + box.bottom) / 2});
}
const label = texts.find(found => found.text === arguments[0]);
if (!label) return null;
return texts.filter(found => Math.abs(found.middle - label.middle) < 10 && found.left > label.left)
    .sort((one, other) => one.left - other.left).map(found => found.text);
"""

AXES = "return [...document.querySelectorAll('.js-plotly-plot .axis-title')].map(title => title.textContent)"
LINES = """
const axes = document.querySelector('.js-plotly-plot').data[0].dimensions;
return Object.fromEntries(axes.map(axis => [axis.label, axis.values]));
"""


@dataclass(frozen=True)
class Site:
    """The pages of a finished search."""

    uri: str
    experiment: str
    model: str
    ledger: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("browsed")
    store = new_store(folder)
    with Ledger(folder / "ledger.jsonl") as ledger:
        mirror = Mirror(ledger.path, store.uri, EXPERIMENT, store.artifacts).start()
        write_search(ledger, SEARCH)
        for trial, (state, cv_auc, *values) in enumerate(TRIALS):
            params = {**dict(zip(NUMERIC, values, strict=True)), "network": "aio_cnn"}
            write_trial(ledger, trial, state, params, cv_auc)
        write_end(ledger, BEST)
        assert mirror.close(120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
        for trial in (EARLIER, BEST):
            ensemble = stand_in_ensemble(folder / f"ensemble_{trial}", 1)
            registration = register_search(
                store.uri,
                task="ki67",
                search=SEARCH,
                trial=trial,
                run_id=str(mirror.trial_run(trial)),
                ensemble_folder=ensemble,
                fold_folders={0: ensemble},
                metrics={METRIC: completed(ledger.path)[run_name(trial)]},
            )
    promote(store.uri, registration.ensemble_model, alias="evaluation", gates=["auc>=0.8"])
    server = Server(store, folder / "server.log")
    try:
        server.start()
        yield Site(server.uri, store.experiment_id, registration.ensemble_model, ledger.path)
    finally:
        server.stop()


def run_name(trial: int) -> str:
    return f"{SEARCH}/{trial:04d}"


def completed(ledger: Path) -> dict[str, float]:
    """Name -> cross-validated AUC of the trials that were completed, best first."""
    events, _ = read_events(ledger)
    ended = [event for event in events if event["kind"] == "trial_ended" and event["state"] == "COMPLETE"]
    ended.sort(key=lambda event: -event["cv"]["auc"][0])
    return {run_name(event["trial"]): event["cv"]["auc"][0] for event in ended}


def asked(ledger: Path) -> dict[str, dict[str, Any]]:
    """Name -> parameters of every trial."""
    events, _ = read_events(ledger)
    return {run_name(event["trial"]): event["params"] for event in events if event["kind"] == "trial_asked"}


class Browser:
    """Chromium without a window, with the few things that the tests do in it."""

    def __init__(self, driver: webdriver.Chrome, pictures: Path) -> None:
        self.driver = driver
        self._pictures = pictures

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """What ``condition`` returns, once that is true."""
        wait = WebDriverWait(self.driver, seconds, 0.1, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: condition(), f"waited in vain for {what}; see {self._picture('failed.png')}")

    def settles(self, read: Callable[[], Any], expected: Any) -> None:
        """Assert that what is read from the page becomes what is expected, and say what it was if it does not."""
        try:
            self.wait(lambda: read() == expected, "what is expected", 30)
        except TimeoutException:
            self.driver.save_screenshot(str(self._picture("failed.png")))
            assert read() == expected

    def find(self, selector: str) -> WebElement:
        """The first displayed element that a CSS selector, or an XPath that begins with ``//``, finds."""
        by = By.XPATH if selector.startswith("//") else By.CSS_SELECTOR

        def displayed() -> WebElement | None:
            return next((found for found in self.driver.find_elements(by, selector) if found.is_displayed()), None)

        try:
            return self.wait(displayed, selector)  # type: ignore[no-any-return]
        except TimeoutException:
            self.driver.save_screenshot(str(self._picture("failed.png")))
            raise

    def click(self, selector: str) -> None:
        def clicked() -> bool:
            self.find(selector).click()  # found anew if the page was drawn again in between
            return True

        self.wait(clicked, selector)

    def read(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def keep(self, name: str) -> None:
        """A picture of the window, without what shows up under the pointer."""
        ActionChains(self.driver).move_by_offset(0, 0).move_to_element(self.find("h1, h2, h3")).perform()
        self.wait(lambda: not self.driver.find_elements(By.CSS_SELECTOR, ".ag-tooltip"), "the tooltip's end")
        assert self.driver.save_screenshot(str(self._picture(name)))

    def _picture(self, name: str) -> Path:
        return self._pictures / name


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs["chromium"])
    for argument in (
        "--headless=new",
        "--no-sandbox",  # in a container there is none
        "--disable-gpu",
        "--disable-dev-shm-usage",  # a container's shared memory is too small
        "--disable-background-networking",
        "--window-size=1600,1000",
        "--lang=en-US",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(argument)
    pictures = Path(os.environ.get("AIO_TUNE_SCREENSHOTS") or tmp_path)
    pictures.mkdir(parents=True, exist_ok=True)
    service = webdriver.ChromeService(str(programs["chromedriver"]), log_output=str(tmp_path / "chromedriver.log"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver, pictures)
    finally:
        driver.quit()


def dismiss_assistant(browser: Browser) -> None:
    """Close the chat that MLflow opens beside the page on the first visit; it takes a third of the width."""
    close = '[data-component-id="mlflow.assistant.chat_panel.close"]'
    if browser.driver.find_elements(By.CSS_SELECTOR, close):
        browser.click(close)
        browser.wait(lambda: not browser.driver.find_elements(By.CSS_SELECTOR, close), "the assistant's end")


def choose_columns(browser: Browser, names: tuple[str, ...]) -> None:
    """Toggle columns of the table of runs in its own menu."""
    browser.click("//button[@data-testid='column-selection-dropdown'][contains(., 'Columns')]")
    search = browser.find('input[placeholder="Search columns"]')
    for name in names:
        search.send_keys(Keys.CONTROL, "a")
        search.send_keys(name)
        browser.click(f"//*[@data-testid='column-selector-tree']//span[@title][normalize-space()='{name}']")
    search.send_keys(Keys.ESCAPE)


def test_trials_are_sorted_and_compared(site: Site, browser: Browser) -> None:
    truth = completed(site.ledger)
    browser.driver.get(f"{site.uri}/#/experiments/{site.experiment}/runs")
    browser.find('[data-testid="sort-header-Run Name"]')
    dismiss_assistant(browser)
    choose_columns(browser, ("Dataset", "Source", "Models", METRIC, "cv_auc_sd", *NUMERIC))

    def ranking() -> list[tuple[str, str]]:
        return [(row["name"], row["cells"].get(METRIC, "")) for row in browser.read(ROWS)]

    header = f'[data-testid="sort-header-{METRIC}"]'
    browser.find(header)
    ranked = [(name, str(value)) for name, value in truth.items()]
    assert ranking()[: len(ranked)] != ranked, "sorted before anybody asked"
    browser.click(header)
    browser.settles(lambda: ranking()[: len(ranked)], ranked)
    rest = ranking()[len(ranked) :]
    unranked = {run_name(trial) for trial, (state, *_) in enumerate(TRIALS) if state != "COMPLETE"}
    assert dict(rest) == dict.fromkeys({SEARCH, *unranked}, "-")
    shown = {row["name"]: row["cells"] for row in browser.read(ROWS)}
    for name, params in asked(site.ledger).items():
        assert {key: float(shown[name][key]) for key in NUMERIC} == {key: params[key] for key in NUMERIC}
    browser.keep("runs.png")

    chosen = [name for name, _ in (ranked[0], ranked[2], ranked[-1])]
    for name in chosen:
        browser.click(
            f"//*[@role='row'][.//a[normalize-space()='{name}']]//*[contains(@class, 'ag-selection-checkbox')]"
        )
    browser.click('[data-testid="runs-compare-button"]')
    browser.find("//h1[contains(., 'Comparing 3 Runs')] | //h2[contains(., 'Comparing 3 Runs')]")
    browser.settles(lambda: sorted(browser.read(RIGHT_OF, "Run Name:") or ()), sorted(chosen))
    names = browser.read(RIGHT_OF, "Run Name:")
    browser.settles(lambda: browser.read(RIGHT_OF, METRIC), [str(truth[name]) for name in names])

    browser.click("//*[@role='tab'][normalize-space()='Parallel Coordinates Plot']")
    browser.settles(lambda: set(browser.read(AXES)) >= set(NUMERIC), True)
    metrics = browser.driver.find_elements(By.CSS_SELECTOR, "[role=tabpanel] input[role=combobox]")[1]
    first = str(browser.read(AXES)[-1])  # MLflow begins with a metric of its own choice
    metrics.send_keys(METRIC)
    browser.click(f"//*[@title='{METRIC}'][contains(@class, 'select-item-option')]")
    metrics.send_keys(Keys.ESCAPE)
    if first != METRIC:
        browser.click(f"//*[@role='tabpanel']//*[normalize-space(text())='{first}']/following-sibling::*")
    browser.settles(lambda: sorted(browser.read(AXES)), sorted((*NUMERIC, METRIC)))
    browser.keep("parallel_coordinates.png")
    for drawn in (".js-plotly-plot .parcoords", ".js-plotly-plot canvas"):
        size = browser.find(drawn).rect
        assert size["width"] > 400
        assert size["height"] > 200
    params = asked(site.ledger)
    values = {key: [params[name][key] for name in names] for key in NUMERIC} | {METRIC: [truth[name] for name in names]}
    assert browser.read(LINES) == values

    browser.read("arguments[0].scrollIntoView()", browser.find("//*[normalize-space(text())='Run details']"))
    browser.keep("comparison.png")


def test_the_promoted_version_has_its_alias(site: Site, browser: Browser) -> None:
    browser.driver.get(f"{site.uri}/#/models/{site.model}")
    table = browser.find('[data-testid="model-version-table"]')
    dismiss_assistant(browser)
    browser.find(f"//h1[normalize-space()='{site.model}'] | //h2[normalize-space()='{site.model}']")

    def aliases() -> dict[str, str]:
        header, *rows = table.find_elements(By.CSS_SELECTOR, "[role=row]")
        column = [cell.text for cell in header.find_elements(By.CSS_SELECTOR, "[role=columnheader]")].index("Aliases")
        cells = [row.find_elements(By.CSS_SELECTOR, "[role=cell]") for row in rows]
        return {row[2].text: row[column].text for row in cells}

    browser.settles(lambda: aliases().get("Version 2"), "@ evaluation")  # only this one: the best trial's
    assert "evaluation" not in aliases()["Version 1"]
    browser.read("arguments[0].scrollIntoView({block: 'center'})", table)
    browser.keep("model.png")
