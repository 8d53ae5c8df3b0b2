"""What a user does in the MLflow UI, in a real browser: sort trials, compare three, look at the registered ensemble.

Screenshots are kept in the folder that AIO_TUNE_SCREENSHOTS names, else in the test's own.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aio_tune.ledger import Ledger
from aio_tune.tracking import Mirror, promote, pyfunc, register_search
from tests.browser import needs_browser, open_browser, screenshots
from tests.tracking.conftest import EXPERIMENT, Store, auc, new_store, stand_in_ensemble, write_end, write_search
from tests.tracking.conftest import write_trial as write
from tests.tracking.serving import Server

pytestmark = [pytest.mark.slow, needs_browser]

MODEL = f"{EXPERIMENT}-ensemble"
STATES = ("COMPLETE", "PRUNED", "COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "PRUNED", "COMPLETE")
PATIENCE = 60  # seconds for a page


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished search of eight trials in a store of its own, its ensemble registered and promoted."""
    folder = tmp_path_factory.mktemp("browser")
    store = new_store(folder)
    run = folder / "run"
    run.mkdir()
    with Ledger(run / "ledger.jsonl") as ledger, Mirror(ledger.path, store.uri, EXPERIMENT) as mirror:
        write_search(ledger, "s")
        for trial, state in enumerate(STATES):
            write(
                ledger, trial, state, {"learning_rate": 1e-4 * 2**trial, "filters": 2 + trial % 3, "layout": "square"}
            )
        write_end(ledger, 7)
        assert mirror.flush()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
            ensemble = stand_in_ensemble(folder / "ensemble", 1)
            register_search(
                store.uri, task="ki67", search="s", trial=7, run_id=str(mirror.trial_run(7)), ensemble_folder=ensemble,
                fold_folders={0: ensemble}, metrics={"cv_auc_mean": auc(7) + 0.01},
            )  # fmt: skip
    promote(store.uri, MODEL, gates=["auc>=0.5"])
    return store


@pytest.fixture(scope="module")
def address(searched: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(searched, tmp_path_factory.mktemp("server") / "server.log")
    try:
        server.start()
        yield server.uri
    finally:
        server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as driver:
        yield driver


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    return screenshots(tmp_path)


def wait(browser: Any, condition: Callable[[Any], Any], what: str) -> Any:
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    # The page is redrawn while it is being read.
    passing = (NoSuchElementException, StaleElementReferenceException, IndexError)
    return WebDriverWait(browser, PATIENCE, ignored_exceptions=passing).until(condition, f"waited in vain for {what}")


def find(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def close_assistant(browser: Any) -> None:
    """MLflow opens a panel of its own beside the page."""
    for panel in find(browser, "button[aria-label='Close']"):
        panel.click()


def by_height(elements: list[Any]) -> list[Any]:
    """From top to bottom of the table, whose rows stand in the page in another order."""
    return sorted(elements, key=lambda element: element.location["y"])


def names(browser: Any) -> list[str]:
    """Names of the runs from top to bottom."""
    return [link.text for link in by_height(find(browser, ".ag-row a[href*='/runs/']")) if link.text.startswith("s")]


def show_column(browser: Any, column: str) -> None:
    """Choose a column as a user does: by its name, in the menu Columns."""
    from selenium.webdriver.common.keys import Keys

    find(browser, "[data-testid=column-selection-dropdown]")[0].click()
    box = wait(browser, lambda _: find(browser, "input[placeholder='Search columns']"), "the search for columns")[0]
    box.send_keys(column)
    tick = f"//*[contains(@class, 'treenode')][.//strong[.='{column}']]//*[contains(@class, 'tree-checkbox')]"
    wait(browser, lambda _: browser.find_elements("xpath", tick), f"the column {column}")[-1].click()
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(browser, lambda _: not find(browser, "input[placeholder='Search columns']"), "the menu to close")


def button(browser: Any, text: str) -> Any:
    return next((one for one in find(browser, "button") if one.text.strip() == text and one.is_enabled()), None)


def test_trials_are_sorted_compared_and_drawn(address: str, browser: Any, searched: Store, shots: Path) -> None:
    complete = [trial for trial, state in enumerate(STATES) if state == "COMPLETE"]
    best_first = [f"s/{trial:04d}" for trial in sorted(complete, key=auc, reverse=True)]

    browser.get(f"{address}/#/experiments/{searched.experiment_id}/runs")
    wait(browser, lambda _: names(browser) == ["s"], "the search, its trials folded below it")
    close_assistant(browser)
    for column in ("cv_auc_mean", "cv_auc_sd", "learning_rate", "filters"):
        show_column(browser, column)
    find(browser, "[data-testid=sort-select-dropdown]")[0].click()
    wait(browser, lambda _: find(browser, "[data-testid=sort-select-cv_auc_mean]"), "cv_auc_mean")[0].click()
    wait(browser, lambda _: names(browser)[: len(best_first)] == best_first, f"the order {best_first}")
    shown = [cell.text for cell in by_height(find(browser, ".ag-row [col-id*='cv_auc_mean']"))]
    means = [float(text) for text in shown[: len(best_first)]]
    assert means == pytest.approx([auc(int(name[2:])) + 0.01 for name in best_first])
    browser.save_screenshot(str(shots / "runs.png"))

    for row in range(3):
        find(browser, f".ag-row[row-index='{row}'] .ag-selection-checkbox input")[0].click()
    wait(browser, lambda _: button(browser, "Compare"), "the button").click()
    wait(browser, lambda _: "Comparing 3 Runs" in find(browser, "h1,h2")[0].text, "the comparison")
    page = find(browser, "body")[0].text
    assert [name for name in best_first if name in page] == best_first[:3]
    for fact in ("cv_auc_mean", "fold_0_auc", "learning_rate", "filters"):
        assert fact in page
    browser.save_screenshot(str(shots / "comparison.png"))


def test_parallel_coordinates_of_all_complete_trials(
    address: str, browser: Any, searched: Store, shots: Path, client_of: Callable[[str], Any]
) -> None:
    found = client_of(searched.uri).search_runs([searched.experiment_id], "tags.`aio.state` = 'COMPLETE'")
    runs = ",".join(f'"{run.info.run_id}"' for run in found)
    browser.get(f'{address}/#/compare-runs?runs=[{runs}]&experiments=["{searched.experiment_id}"]')
    wait(browser, lambda _: find(browser, ".parcoords"), "the plot")
    close_assistant(browser)
    for box in find(browser, "[role=combobox], .ant-select-selection-search-input, .du-bois-light-select input")[:2]:
        choose(browser, box, ("cv_auc_mean",))
    titles = wait(browser, lambda _: axes(browser) if "cv_auc_mean" in axes(browser) else None, "its axes")
    assert {"learning_rate", "filters", "cv_auc_mean"} <= set(titles)
    browser.save_screenshot(str(shots / "parallel_coordinates.png"))


def choose(browser: Any, box: Any, options: tuple[str, ...]) -> None:
    from selenium.webdriver.common.keys import Keys

    for option in options:
        box.send_keys(option, Keys.ENTER)
    box.send_keys(Keys.ESCAPE)


def axes(browser: Any) -> list[str]:
    return [title.text for title in find(browser, ".parcoords .axis-title")]


def test_the_registered_ensemble_shows_its_alias(address: str, browser: Any, shots: Path) -> None:
    browser.get(f"{address}/#/models/{MODEL}")
    wait(browser, lambda _: MODEL in find(browser, "h1,h2")[0].text, "the model")
    close_assistant(browser)
    rows = wait(browser, lambda _: find(browser, "[role=row]")[1:], "its versions")
    (version,) = [row.text for row in rows if "Version 1" in row.text]
    assert "@ evaluation" in version.replace("\n", " ")
    browser.save_screenshot(str(shots / "model.png"))
