"""What the layout control trains and says; that it is trained at the end of a search is in test_end_to_end."""

from pathlib import Path
from typing import Any

import pytest

from aio_tune.config import Home
from aio_tune.ledger import Ledger
from aio_tune.paired import paired_difference
from aio_tune.search.geometry import (
    Geometry,
    LayoutResult,
    convolving_trial,
    geometry_folder,
    layouts_to_train,
    read_geometry,
)
from aio_tune.search.state import SearchState, TrialRecord, TrialState


def trial(number: int, state: TrialState, auc: list[float], **params: Any) -> TrialRecord:
    record = TrialRecord(number, params, state=state, rung=2 if state == "COMPLETE" else 0, value=sum(auc) / len(auc))
    record.fold_metrics = {str(fold): {"auc": value} for fold, value in enumerate(auc)}
    record.cv = {"auc": (sum(auc) / len(auc), 0.0)}
    return record


def search(*trials: TrialRecord) -> SearchState:
    state = SearchState()
    state.trials = {one.number: one for one in trials}
    return state


DENSE = trial(0, "COMPLETE", [0.9, 0.9], branches="embedding")
COMPLETE = trial(1, "COMPLETE", [0.8, 0.7], branches="both", layout="coexpression")
STOPPED = trial(2, "PRUNED", [0.95], branches="both", layout="1d")
FAILED = trial(3, "FAIL", [0.99], branches="both")


def test_whose_network_it_is() -> None:
    assert convolving_trial(search(DENSE, COMPLETE, STOPPED, FAILED)) is COMPLETE, "one that finished comes first"
    assert convolving_trial(search(DENSE, STOPPED, FAILED)) is STOPPED
    assert convolving_trial(search(DENSE, FAILED)) is None


@pytest.mark.parametrize(
    ("state", "layout", "expected"),
    [
        ("COMPLETE", "square", ("coexpression", "shuffled")),
        ("COMPLETE", "1d", ("square", "coexpression", "shuffled")),
        ("COMPLETE", "shuffled", ("square", "coexpression")),
        ("PRUNED", "square", ("square", "coexpression", "shuffled")),
        ("PRUNED", "1d", ("1d", "square", "coexpression", "shuffled")),
    ],
)
def test_what_is_trained(state: TrialState, layout: str, expected: tuple[str, ...]) -> None:
    assert layouts_to_train(trial(0, state, [0.5], branches="both", layout=layout)) == expected


def note(home: Home, number: int, results: dict[str, list[float] | str]) -> None:
    """A ledger of networks on other layouts: AUC of each fold, or why it failed."""
    folder = geometry_folder(home, "s", number)
    folder.path.mkdir(parents=True)
    with Ledger(folder.ledger) as ledger:
        ledger.append("search_started", name="s/layouts")
        for i, (layout, result) in enumerate(results.items()):
            ledger.append("trial_asked", trial=i, params={"branches": "both", "layout": layout})
            if isinstance(result, str):
                ledger.append("trial_ended", trial=i, state="FAIL", reason=result, cv={})
                continue
            folds = {str(fold): {"auc": value} for fold, value in enumerate(result)}
            mean = sum(result) / len(result)
            ledger.append("rung_reported", trial=i, rung=0, epoch=5, folds=list(range(len(result))), value=mean,
                          fold_metrics=folds, seconds=1.0, parameters=10)  # fmt: skip
            ledger.append("trial_ended", trial=i, state="COMPLETE", reason="", cv={"auc": [mean, 0.0]})


def test_every_layout_is_paired_with_the_control(tmp_path: Path) -> None:
    home, state = Home(tmp_path), search(DENSE, COMPLETE)
    note(home, 1, {"square": [0.6, 0.7], "shuffled": [0.5, 0.65]})
    found = read_geometry(home, "s", state)
    assert [one.layout for one in found.results] == ["coexpression", "square", "shuffled"]
    own, square, control = found.results
    assert own.auc == paired_difference([0.8, 0.7], [0.5, 0.65], 2), "the search's own folds of that trial"
    assert square.auc == paired_difference([0.6, 0.7], [0.5, 0.65], 2)
    assert control.auc is None
    first, second = found.sentences()
    assert "coexpression (co-expressed genes side by side), which was chosen on these folds, against" in first
    assert "chosen" not in second


def test_a_network_that_was_stopped_early_is_not_taken_from_the_search(tmp_path: Path) -> None:
    home = Home(tmp_path)
    note(home, 2, {"1d": [0.7, 0.7], "square": [0.6, 0.7], "shuffled": [0.5, 0.6]})
    found = read_geometry(home, "s", search(DENSE, STOPPED))
    assert not found.finished
    assert [one.cv["auc"][0] for one in found.results] == pytest.approx([0.7, 0.65, 0.55])
    assert "chosen" not in " ".join(found.sentences())


def test_what_was_not_asked_or_cannot_be_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert "No network of this search has convolutions" in read_geometry(home, "s", search(DENSE)).sentences()[0]
    assert "was not asked" in read_geometry(home, "s", search(COMPLETE)).sentences()[0]
    note(home, 1, {"square": [0.6, 0.7], "shuffled": "the pictures are too small"})
    asked, failed = read_geometry(home, "s", search(COMPLETE)).sentences()
    assert "was not asked" in asked
    assert failed == "Layout shuffled could not be trained: the pictures are too small"


@pytest.mark.parametrize(
    ("differences", "said"),
    [([0.1, 0.11, 0.12], "helps."), ([-0.1, -0.11, -0.12], "harms."), ([0.1, -0.1, 0.0], "not found to help.")],
)
def test_the_interval_decides_what_is_said(differences: list[float], said: str) -> None:
    difference = paired_difference(differences, [0.0, 0.0, 0.0], 3)
    result = LayoutResult("square", {"auc": (0.5, 0.1)}, difference)
    (sentence,) = Geometry(4, "square", True, (result,)).sentences()
    assert sentence.endswith(said)
