"""What the runs of a search and of its best trials show."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aio_tune.config import RunFolder
from aio_tune.metrics import bootstrap_interval
from aio_tune.search.environment import environment_text
from aio_tune.search.illustrate import illustrate_search
from aio_tune.search.importance import FEWEST, parameter_importance
from aio_tune.search.out_of_fold import OutOfFold, read_out_of_fold
from aio_tune.search.state import SearchState
from aio_tune.search_space import SearchSpec

SPEC = SearchSpec.model_validate(
    {
        "task": "ki67",
        "trials": 40,
        "epochs": 9,
        "space": {
            "learning_rate": {"float": [1e-4, 1e-1], "log": True},
            "dropout": {"float": [0.0, 0.5]},
            "fc_widths": {"choice": [[8, 8], [16, 16]]},
            "branches": {"choice": ["both", "embedding"]},
            "filters": {"int": [1, 8], "when": {"branches": "both"}},
            "optimizer": "adam",
        },
    }
)


def searched(n: int, states: tuple[str, ...] = ("COMPLETE",)) -> SearchState:
    """A search whose value depends on the learning rate alone."""
    rng = np.random.default_rng(0)
    events: list[dict[str, Any]] = [{"kind": "search_started", "time": 0.0, "name": "s", "settings": {"metric": "auc"}}]
    for trial in range(n):
        rate = float(10 ** rng.uniform(-4, -1))
        params = {"learning_rate": rate, "dropout": float(rng.uniform(0, 0.5)), "fc_widths": [8, 8],
                  "branches": ["both", "embedding"][trial % 2], "optimizer": "adam"}  # fmt: skip
        params |= {"filters": 4} if trial % 2 == 0 else {}
        state, value = states[trial % len(states)], 0.9 + 0.05 * np.log10(rate)
        rung = {"folds": [0], "fold_metrics": {}, "seconds": 1.0, "parameters": 5}
        cv = {"auc": [value, 0.01]} if state == "COMPLETE" else {}
        events += [
            {"kind": "trial_asked", "time": 0.0, "trial": trial, "params": params},
            {"kind": "rung_reported", "time": 0.0, "trial": trial, "rung": 0, "epoch": 9, "value": value, **rung},
            {"kind": "trial_ended", "time": 0.0, "trial": trial, "state": state, "reason": "", "cv": cv},
        ]
    return SearchState.of(events)


def test_importance_finds_the_parameter_that_mattered() -> None:
    importance = parameter_importance(SPEC, searched(30))
    assert next(iter(importance)) == "learning_rate"
    assert importance["learning_rate"] > 0.8
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["fc_widths"] == 0, "the same in all trials"
    assert "filters" not in importance, "not part of every trial"
    assert "optimizer" not in importance, "fixed"


def test_too_few_trials_say_nothing_of_importance() -> None:
    assert parameter_importance(SPEC, searched(FEWEST - 1)) == {}
    assert parameter_importance(SPEC, searched(FEWEST))
    assert set(illustrate_search(SPEC, searched(2)).figures) == {"history"}


def test_history_shows_the_best_so_far_of_complete_trials() -> None:
    state = searched(12, ("COMPLETE", "PRUNED"))
    figures = illustrate_search(SPEC, state).figures
    assert set(figures) == {"history", "importance"}
    best = figures["history"].axes[0].lines[0].get_xydata()
    complete = [trial for trial in state.trials.values() if trial.state == "COMPLETE"]
    assert best[:, 0].tolist() == [trial.number for trial in complete]
    assert best[:, 1].tolist() == np.maximum.accumulate([trial.value for trial in complete]).tolist()


def test_leaderboard_has_a_column_for_each_parameter() -> None:
    board = illustrate_search(SPEC, searched(6)).tables["leaderboard"]
    assert list(board["rank"]) == list(range(1, 7))
    assert board["cv_auc_mean"].is_monotonic_decreasing
    assert list(board["fc_widths"]) == ["[8, 8]"] * 6
    assert board["filters"].isna().sum() == 3


def test_out_of_fold_calls_and_their_interval(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels, folds = rng.integers(0, 2, 60).astype(np.int8), np.arange(60, dtype=np.int8) % 3 - 1
    p = np.clip(0.5 + 0.2 * (labels - 0.5) + rng.normal(0, 0.2, 60), 0, 1).astype(np.float32)
    patients = np.repeat([f"P{i}" for i in range(30)], 2)
    task = SimpleNamespace(classes=("negative", "positive"))
    rows: Any = SimpleNamespace(
        labels=labels, samples=pd.DataFrame({"sample_id": np.arange(60), "patient_id": patients}), task=task
    )
    folder = tmp_path / "trials" / "00003"
    folder.mkdir(parents=True)
    np.savez(folder / "oof.npz", probabilities=np.column_stack([1 - p, p]), labels=labels, fold=folds)
    trial: Any = SimpleNamespace(number=7, same_as=3)  # shares an earlier trial's result, and so its folder
    calls = read_out_of_fold(RunFolder(tmp_path), trial, rows)
    assert isinstance(calls, OutOfFold)
    assert len(calls.labels) == (folds >= 0).sum()
    metrics = calls.metrics()
    low, high = bootstrap_interval(calls.labels, calls.probabilities, task.classes, "auc", groups=patients[folds >= 0])
    assert (metrics["oof_auc_low"], metrics["oof_auc_high"]) == (low, high)
    assert low < metrics["oof_auc"] < high
    table = calls.table()
    assert list(table.columns) == ["sample_id", "call", "p_negative", "p_positive", "truth", "fold"]
    assert table["sample_id"].tolist() == [str(i) for i in np.flatnonzero(folds >= 0)]
    assert (table["call"] == np.where(table["p_positive"] > 0.5, "positive", "negative")).all()
    assert (table["truth"] == np.take(task.classes, labels[folds >= 0])).all()


def test_two_out_of_fold_figures_of_one_name_are_refused() -> None:
    labels = np.tile(np.arange(3), 10)
    names, sure = np.arange(30).astype(str), np.eye(3, dtype=np.float32)[labels]
    calls = OutOfFold(labels, sure, labels.astype(np.int8), names, names, ("a", "low", "b"))
    with pytest.raises(ValueError, match=r"a name of its own\. Received oof_auc_low twice\."):
        calls.metrics()


def test_environment_names_what_is_installed() -> None:
    lines = environment_text().splitlines()
    assert json.dumps(lines).count("# ") == 3
    assert any(line.startswith("numpy==") for line in lines)
    assert any(line.startswith("keras==") for line in lines)
