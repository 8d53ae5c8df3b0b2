"""What confirming varies, what it splits, and what it writes down; the runs themselves are in test_end_to_end."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.config import Home
from aio_tune.dataset import StoredRows, write_dataset
from aio_tune.errors import SearchError, SpaceError
from aio_tune.folds import make_folds
from aio_tune.ledger import Ledger
from aio_tune.search.confirm import VARIED, FixedRuns, finished_search, new_splits, note, runs_begun, vary
from aio_tune.search.director import MAY_CHANGE
from aio_tune.search.leaderboard import read_state
from aio_tune.search.nested import outer_split
from aio_tune.search.rows import TrainingRows
from aio_tune.search_space import load_space
from aio_tune.tasks import TASKS
from aio_tune.training import configuration
from tests.test_dataset import assembly, cohort

PARAMS = {"branches": "both", "learning_rate": 1e-3, "epsilon": 1e-7, "embedding_l2": 0.1, "kernel_size": 3, "depth": 2}


@pytest.fixture
def rows(tmp_path: Path) -> TrainingRows:
    random = np.random.default_rng(0)
    labels = (np.arange(40) % 2).astype(np.int8)
    patients = [f"P{i // 2}" for i in range(40)]
    samples = pd.DataFrame({"patient_id": patients, "sample_id": [f"S{i}" for i in range(40)]})
    folds = make_folds(labels, patients, 4, seed=0)
    dataset = write_dataset(assembly(cohort("Ours", 60)), tmp_path / "data")
    stored = StoredRows.of(dataset, np.sort(random.permutation(60)[:40]))
    return TrainingRows(TASKS["ki67"], samples, labels, stored, folds)


def test_runs_vary_slightly_and_always_in_the_same_way() -> None:
    assert vary(PARAMS, 0, 0) == PARAMS
    varied = [vary(PARAMS, 0, run) for run in range(1, 200)]
    assert varied == [vary(PARAMS, 0, run) for run in range(1, 200)]
    assert vary(PARAMS, 1, 1) != vary(PARAMS, 0, 1)
    for params in varied:
        configuration(params)  # raises if anything is out of range
        assert params.keys() == PARAMS.keys(), "nothing is added"
        assert {name: params[name] for name in ("branches", "depth")} == {"branches": "both", "depth": 2}
        for name in ("learning_rate", "epsilon", "embedding_l2"):
            assert abs(np.log10(params[name] / PARAMS[name])) <= VARIED[name] + 1e-9
    assert {params["kernel_size"] for params in varied} == {1, 3, 5}


def test_what_is_at_its_limit_stays_within() -> None:
    for run in range(1, 50):
        limits = {"learning_rate": 1.0, "embedding_l2": 10.0, "bn_epsilon": 1.0, "kernel_size": 15}
        configuration(vary(limits, 0, run))


def test_kernels_stay_when_there_is_no_convolution() -> None:
    params = {**PARAMS, "branches": "embedding"}
    assert {vary(params, 0, run)["kernel_size"] for run in range(30)} == {3}


def test_splits_are_new_whole_patients_and_stay_when_more_are_asked_for(rows: TrainingRows) -> None:
    five, seven = new_splits(rows, 0, 5), new_splits(rows, 0, 7)
    assert five == seven[:5]
    digests = {folds.digest for folds in (*seven, rows.folds, outer_split(rows, 0))}
    assert len(digests) == 9, "neither the search's own folds nor the outer ones are among them"
    for folds in seven:
        for train, valid in zip(folds.train, folds.valid, strict=True):
            assert not set(rows.patients[train]) & set(rows.patients[valid])


def test_a_search_within_an_outer_fold_has_none_of_its_patients(rows: TrainingRows) -> None:
    outer = outer_split(rows, 0)
    for train, valid in zip(outer.train, outer.valid, strict=True):
        inner = rows.only(train, 0)
        assert not set(inner.patients) & set(rows.patients[valid])
        assert np.array_equal(inner.expression(), rows.expression()[train])
        assert np.array_equal(inner.labels, rows.labels[train])
        assert inner.folds.k == rows.folds.k
        assert sum(len(fold) for fold in inner.folds.valid) == len(train)


def test_fixed_runs_are_drawn_in_order_each_on_its_split() -> None:
    source = FixedRuns([{"depth": 1}, {"depth": 2}], 2)
    drawn = [list(source.draws(number)) for number in range(3)]
    assert [[(draw.params, draw.split, draw.preset) for draw in draws] for draws in drawn] == [
        [({"depth": 1}, 0, True)], [({"depth": 2}, 1, True)], []
    ]  # fmt: skip


def started(folder: Path) -> Home:
    space = folder / "space.yaml"
    space.write_text(
        "task: ki67\ntrials: 1\nfolds: 2\nepochs: 1\nexclude: [{depth: {min: 3}}]\n"
        "space: {depth: {int: [1, 4]}, kernel_size: {choice: [3, 5]}}\nstart: [{depth: 2}]\n"
    )
    spec = load_space(space)
    home = Home(folder / "home")
    home.run("one").path.mkdir(parents=True)
    with Ledger(home.run("one").ledger) as ledger:
        ledger.append("search_started", name="one", settings=spec.settings_facts(), space=spec.space_facts())
    with pytest.raises(SearchError, match="has not ended"):
        finished_search(home, "one")
    with Ledger(home.run("one").ledger) as ledger:
        ledger.append("trial_asked", trial=0, params={"depth": 2, "kernel_size": 3})
        ledger.append("rung_reported", trial=0, rung=0, folds=[0, 1], epoch=1, value=0.7, seconds=1.0, parameters=9,
                      fold_metrics={"0": {"auc": 0.6}, "1": {"auc": 0.8}})  # fmt: skip
        ledger.append("trial_ended", trial=0, state="COMPLETE", value=0.7, reason="", cv={"auc": [0.7, 0.1]})
        ledger.append("search_ended", reason="all 1 trials run", best_trial=0)
    return home


def test_the_settings_of_a_search_are_read_back_from_its_ledger(tmp_path: Path) -> None:
    home = started(tmp_path)
    _, best, spec = finished_search(home, "one")
    assert best.params == {"depth": 2, "kernel_size": 3}
    assert spec == load_space(tmp_path / "space.yaml")


def test_what_a_resumed_search_was_told_to_change_holds_after_it(tmp_path: Path) -> None:
    home = started(tmp_path)
    there = load_space(tmp_path / "space.yaml", ["resources.cpus_per_fold=2", "trials=1"])
    with Ledger(home.run("one").ledger) as ledger:
        changed = {name: there.settings_facts()[name] for name in MAY_CHANGE}
        ledger.append("search_resumed", unfinished=[], settings=changed)
        ledger.append("search_ended", reason="all 1 trials run", best_trial=0)
    assert finished_search(home, "one")[2] == there
    here = finished_search(home, "one", ["resources.folds_in_parallel=2"])[2]
    assert here.resources == there.resources.model_copy(update={"folds_in_parallel": 2})
    with pytest.raises(SpaceError, match=r"Expected a key below resources.*Received 'seed=1'"):
        finished_search(home, "one", ["seed=1"])
    with pytest.raises(SpaceError, match=r"--set resources.cpus_per_fold=0"):
        finished_search(home, "one", ["resources.cpus_per_fold=0"])


def test_runs_that_were_begun_are_counted(tmp_path: Path) -> None:
    home = started(tmp_path)
    assert runs_begun(home.run("one")) == 1
    assert runs_begun(home.run("two")) == 0


def test_a_result_is_noted_once_and_again_when_it_is_another(tmp_path: Path) -> None:
    home = started(tmp_path)
    results = [{"auc": value} for value in (0.7, 0.8, 0.75)]
    for _ in range(2):
        note(home, "one", "runs", 0, results)
    before = read_state(home, "one").events
    note(home, "one", "runs", 0, [*results, {"auc": 0.9}])
    state = read_state(home, "one")
    assert state.events == before + 1
    assert state.confirmed["runs"]["metrics"]["auc"] == pytest.approx([0.7875, 0.0853912563829967])
    with pytest.raises(SearchError, match="at least one run"):
        note(home, "one", "runs", 0, [])
