"""The main path on a tiny simulated cohort, through the command line and real processes.

One search runs through undisturbed; a second one, the same but for its name, is interrupted while Ray starts and by
Ctrl-C, then killed by SIGKILL at twenty random moments, and resumed each time. Both must end the same. What else can be
lost (processes, nodes, disks) is in search/test_faults.py.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.browser import needs_browser, open_browser, requested, screenshots
from tests.mlflow_runs import artifacts, trial_runs
from tests.place import PATIENCE, Place, is_alive

# Four searches, each starting Ray, TensorFlow and MLflow: minutes on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SPACE = """
task: nhg
folds: 3
trials: 8
rungs: [[1, 1], [3, 3]]
deterministic: true
resources: {max_concurrent_trials: 1}
space:
  scaling: zscore
  branches: {choice: [embedding, both]}
  filters: {choice: [2, 4], when: {branches: both}}
  depth: {choice: [1, 2, 6], when: {branches: both}}
  embedding_width: 8
  fc_widths: [8, 8, 8, 8]
  learning_rate: {float: [1e-3, 1e-2], log: true}
start:
  - {branches: both, filters: 2, depth: 6, learning_rate: 5e-3}
"""


class MainPath(Place):
    """Searches in one home."""

    def search(self, name: str, *more: object) -> list[str]:
        return self.command("search", self.space, "--data", self.dataset, "--home", self.home, "--name", name, *more)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> MainPath:
    place = MainPath(tmp_path_factory.mktemp("main_path"), SPACE)
    place.run("simulate", place.geo, "--samples", 90, "--genes", 128, "--seed", 3)
    place.run("prepare", place.geo, "--out", place.dataset)
    return place


@pytest.fixture(scope="module")
def searched(place: MainPath) -> MainPath:
    """After an undisturbed search."""
    done = subprocess.run(place.search("calm"), capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "network (trial" in done.stdout
    assert "PCA + logistic regression" in done.stdout
    assert ", layout shuffled" in done.stdout
    assert "against shuffled pixels" in " ".join(done.stdout.split())
    return place


def test_past_the_memory_budget_a_search_ends_the_same(searched: MainPath) -> None:
    """Expression read row by row from the disk, not from the object store: not a bit is another."""
    searched.run(*searched.search("streamed", "--set", "resources.memory_budget=1e-5")[3:])
    assert outcome(searched, "streamed") == outcome(searched, "calm")
    left = Path(tempfile.gettempdir()) / f"aio_tune-{os.getuid()}"
    assert [path.name for path in left.iterdir()] == ["rows.lock"]


KILLS = 20
# Seconds that a killed driver lives: from before its first line to after the last trial has ended.
LONGEST = 24.0


# Ray's agents know within two seconds that their node is gone, and then try for 60 s to tell its dead head.
AGENT_PATIENCE = 90


def end_family(driver: psutil.Popen, family: list[psutil.Process]) -> list[psutil.Process]:
    """Wait for what a dead driver has started to end by itself; returns Ray's agents, which take longer."""
    driver.wait()
    agents = [process for process in family if "agent" in title(process).lower()]
    _, alive = psutil.wait_procs([process for process in family if process not in agents], timeout=30)
    nothing_left(alive)
    return agents


def nothing_left(alive: list[psutil.Process]) -> None:
    alive = [process for process in alive if is_alive(process)]
    for process in alive:
        process.kill()
    assert not alive, f"left behind by a killed driver: {alive}"


def title(process: psutil.Process) -> str:
    """What a process calls itself; empty once it is gone."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


def kill_driver_after(place: MainPath, name: str, seconds: float) -> list[psutil.Process]:
    """Resume the search, and kill its driver with SIGKILL that much later, if it is still there; returns the agents."""
    driver = psutil.Popen(place.search(name, "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    family: list[psutil.Process] = []
    try:
        driver.wait(seconds)
        assert driver.returncode == 0
    except psutil.TimeoutExpired:
        family = driver.children(recursive=True)
        driver.send_signal(signal.SIGKILL)
    return end_family(driver, family)


def outcome(place: MainPath, name: str) -> list[dict[str, Any]]:
    rows = json.loads(place.run("leaderboard", name, "--home", place.home, "--json"))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def interrupt_after(place: MainPath, name: str, n_events: int, number: signal.Signals, *words: str) -> None:
    """Start the search, wait for so many more events, and press Ctrl-C or send what ``kill`` sends."""
    n_events += len(place.events(name))
    last = interrupt(place.search(name, *words), lambda driver: len(place.events(name)) >= n_events, number)
    assert "--resume" in last


def interrupt(command: list[str], due: Callable[[psutil.Popen], bool], number: signal.Signals) -> str:
    """Start a command and interrupt it when it is due; its last line. Nothing of it may be left."""
    driver = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not due(driver):
        assert driver.poll() is None
        time.sleep(0.05)
    family = driver.children(recursive=True)
    driver.send_signal(number)
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 1, err
    assert "SIGTERM received" not in err, "Ray's own words, and a stack of C++"
    assert "Traceback" not in err
    nothing_left(psutil.wait_procs(end_family(driver, family), timeout=AGENT_PATIENCE)[1])
    last = err.strip().splitlines()[-1]
    assert "interrupted" in last
    return last


def ray_is_starting(driver: psutil.Popen) -> bool:
    return any("gcs_server" in title(process) for process in driver.children())


def test_interrupted_killed_and_resumed_is_as_if_nothing_happened(searched: MainPath) -> None:
    place = searched
    interrupt(place.search("shaken"), ray_is_starting, signal.SIGTERM)
    interrupt_after(place, "shaken", 3, signal.SIGINT)
    interrupt_after(place, "shaken", 2, signal.SIGTERM, "--resume")
    agents = []
    for seconds in np.random.default_rng(3).uniform(0.0, LONGEST, KILLS):
        agents += kill_driver_after(place, "shaken", float(seconds))
    nothing_left(psutil.wait_procs(agents, timeout=AGENT_PATIENCE)[1])
    done = subprocess.run(
        place.search("shaken", "--resume"), capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr

    assert outcome(place, "shaken") == outcome(place, "calm")
    events = place.events("shaken")
    rungs = [(event["trial"], event["rung"]) for event in events if event["kind"] == "rung_reported"]
    assert len(rungs) == len(set(rungs)), "no rung is trained or counted twice"
    asked = [event["trial"] for event in events if event["kind"] == "trial_asked"]
    ended = [event["trial"] for event in events if event["kind"] == "trial_ended"]
    assert sorted(asked) == sorted(ended) == list(range(8))
    runs = trial_runs(place.home / "mlflow.db")
    for name in ("calm", "shaken"):
        tried = [run for run in runs if run["name"].rpartition("/")[0] == name]
        assert len(tried) == 8, "one MLflow run per trial, none doubled"
        assert {run["status"] for run in tried} <= {"FINISHED", "KILLED", "FAILED"}
    models = {model["name"]: model for model in json.loads(place.run("models", "--json", "--home", place.home))}
    registered = [version["tags"]["aio.search"] for version in models["aio-nhg-ensemble"]["versions"]]
    assert [registered.count(name) for name in ("calm", "shaken")] == [1, 1], "each search is registered once"


def test_a_network_that_cannot_be_built_fails_and_the_search_goes_on(searched: MainPath) -> None:
    rows = {row["trial"]: row for row in outcome(searched, "calm")}
    assert rows[0]["state"] == "FAIL"
    assert "pool" in rows[0]["reason"]
    assert [row["state"] for row in rows.values()].count("COMPLETE") >= 1


def test_runs_show_what_a_user_compares(searched: MainPath) -> None:
    best = next(row["trial"] for row in outcome(searched, "calm"))
    database = searched.home / "mlflow.db"
    of_search = set(artifacts(database, "calm"))
    assert of_search >= {"space.yaml", "environment.txt", "figures/history.png", "tables/leaderboard.csv"}
    figures = ("aio", "calibration", "confusion", "curves", "network", "roc")
    of_trial = set(artifacts(database, f"calm/{best:04d}"))
    assert of_trial >= {*(f"figures/{name}.png" for name in figures), "network.txt"}


def test_promote_evaluate_predict(searched: MainPath, tmp_path: Path) -> None:
    place, home = searched, ("--home", searched.home)
    model = "aio-nhg-ensemble"
    assert "Promote it first" in place.refuse("evaluate", model, "--data", place.dataset, "--cohort", "GSE81538", *home)
    assert "auc" in place.refuse("promote", model, "--to", "champion", "--gate", "auc>=0.9999", *home)
    assert "@evaluation" in place.run("promote", model, "--to", "evaluation", "--gate", "auc>=0.0", *home)

    words = ("evaluate", f"{model}@evaluation", "--data", place.dataset)
    result = json.loads(place.run(*words, "--cohort", "GSE81538", "--json", *home))
    assert result["cohort"] == "GSE81538"
    assert 0 <= result["ensemble"]["auc"][0] <= 1
    assert result["baselines"]["PCA + logistic regression"]["auc"][0] > 0.5
    assert [one["error"] for one in result["no_call"]] == [0.05, 0.1, 0.2]
    assert "in training" in place.refuse(*words, "--cohort", "GSE96058", *home)

    file = next(place.geo.glob("GSE81538_gene_expression*.csv.gz"))
    calls = tmp_path / "calls.csv"
    place.run("predict", f"{model}@evaluation", file, "--out", calls, *home)
    table = pd.read_csv(calls)
    assert list(table.columns) == ["sample_id", "call", "p_G1", "p_G2", "p_G3"]
    assert table[["p_G1", "p_G2", "p_G3"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-4)
    assert len(table) == 36

    words = ("predict", f"{model}@evaluation", file, "--out", calls, *home, "--tolerate")
    assert "one of 0.05, 0.1, 0.2" in place.refuse(*words, 0.3)
    place.run(*words, 0.1)
    sure = pd.read_csv(calls)["call"]
    assert sure.isna().any()
    assert (sure.dropna() == table["call"][sure.notna()]).all()

    listed = json.loads(place.run("models", "--json", *home))
    assert {entry["name"] for entry in listed} == {"aio-nhg", "aio-nhg-ensemble"}


def test_confirm_and_compare_with_a_variant(searched: MainPath) -> None:
    place, home = searched, ("--home", searched.home)
    words = ("confirm", "calm", "--against", "dropout=0.4", "--json", *home)
    assert "Received 'layout=round'" in place.refuse("confirm", "calm", "--against", "layout=round", *home)
    found = json.loads(place.run(*words))
    (compared,) = found["compared"]
    assert (compared["variant"], compared["runs"]) == ("dropout=0.4", 5)
    assert compared["reference"] == found["lines"][1]["metrics"], "the same runs as the confirmation's"
    difference = compared["differences"]["auc"]
    assert difference["n"] == 5 * found["folds"]
    assert difference["mean"] == pytest.approx(compared["metrics"]["auc"][0] - compared["reference"]["auc"][0])
    assert difference["low"] < difference["mean"] < difference["high"]
    events = len(place.events("calm"))
    assert json.loads(place.run(*words)) == found, "nothing is trained again"
    assert len(place.events("calm")) == events


def test_harmonise_and_its_place_in_the_report(searched: MainPath, tmp_path: Path) -> None:
    place, home = searched, ("--home", searched.home)
    place.run("promote", "aio-nhg-ensemble", "--version", 1, "--to", "evaluation", *home)  # registered by "calm"
    words = ("harmonise", "aio-nhg-ensemble@evaluation", "--data", place.dataset, "--cohort", "GSE81538")
    found = json.loads(place.run(*words, "--folds", 2, "--epochs", 1, "--out", tmp_path / "table.csv", "--json", *home))
    table = pd.read_csv(tmp_path / "table.csv")
    assert table.loc[table["chosen"], "harmoniser"].tolist() == [found["chosen"]]
    place.run("report", "calm", "--out", tmp_path / "report.html", *home)
    text = (tmp_path / "report.html").read_text()
    assert "Harmonisers for GSE81538" in text
    assert f"&gt; {found['chosen']}" in text
    assert ", layout shuffled" in text


@needs_browser
def test_report_in_a_browser(searched: MainPath, tmp_path: Path) -> None:
    """After the evaluation above, or without it: on a phone and on a desk, and nothing is asked of anybody."""
    page = tmp_path / "report.html"
    searched.run("report", "calm", "--out", page, "--home", searched.home)
    text = page.read_text()
    assert "Beside the paper" in text and "simulated patients" in text
    assert "against shuffled pixels" in text
    with open_browser() as browser:
        for name, width in (("phone", 390), ("desktop", 1280)):
            screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": name == "phone"}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            browser.get(page.as_uri())
            assert {address.split(":")[0] for address in requested(browser)} <= {"file", "data"}
            assert browser.get_log("browser") == [], "nothing on the console"
            pictures = browser.find_elements("css selector", "figure img")
            assert len(pictures) >= 6
            assert all(one.get_property("naturalWidth") > 0 and one.get_attribute("alt") for one in pictures)
            assert len(browser.find_elements("css selector", "figure a[download]")) == len(pictures)
            needed = browser.execute_script("return document.documentElement.scrollWidth")
            assert needed <= width, "nothing sticks out; wide tables scroll by themselves"
            height = browser.execute_script("return document.documentElement.scrollHeight")
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**screen, "height": height})
            browser.save_screenshot(str(screenshots(tmp_path) / f"report_{name}.png"))
