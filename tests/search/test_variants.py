"""What a variant is, and what it is compared by; the runs themselves are in test_end_to_end."""

from pathlib import Path
from typing import Any

import pytest

from aio_tune.config import Home
from aio_tune.errors import SearchError, SpaceError
from aio_tune.paired import paired_difference
from aio_tune.search.state import SearchState, TrialRecord
from aio_tune.search.variants import check_variant, compare_runs, parse_variant, variant_folder

WINNER = {"branches": "both", "layout": "square", "learning_rate": 1e-3}


def runs(values: list[list[float]], state: str = "COMPLETE") -> SearchState:
    """Runs over two folds each."""
    found = SearchState()
    for number, folds in enumerate(values):
        trial = TrialRecord(number, {}, state="COMPLETE" if number else state)  # type: ignore[arg-type]
        trial.fold_metrics = {str(fold): {"auc": value} for fold, value in enumerate(folds)}
        trial.cv = {"auc": (sum(folds) / 2, 0.0)}
        found.trials[number] = trial
    return found


def test_changes_are_read_as_yaml() -> None:
    assert parse_variant("layout=1d kernel_size=9 batch_norm=false") == {
        "layout": "1d", "kernel_size": 9, "batch_norm": False
    }  # fmt: skip
    assert check_variant("layout=shuffled", WINNER, 1024) == {"layout": "shuffled"}


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("", "Received nothing"),
        ("layout", "such as layout=shuffled"),
        ("=3", "such as layout=shuffled"),
        ("layout=[", "Expected a value after layout="),
        ("layout=square", "which it has"),
        ("layout=round", "layout"),
        ("depht=3", "depth"),
        ("learning_rate=-1", "learning_rate"),
        ("layout=16x16x1", "genes"),
    ],
)
def test_what_is_no_variant(variant: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        check_variant(variant, WINNER, 1024)


def test_runs_are_paired_by_run_and_fold() -> None:
    variant, winner = runs([[0.8, 0.7], [0.9, 0.6]]), runs([[0.7, 0.8], [0.6, 0.6], [0.1, 0.1]])
    found = compare_runs(variant, winner, folds=2)
    expected = paired_difference([0.8, 0.7, 0.9, 0.6], [0.7, 0.8, 0.6, 0.6], 2)
    assert found["differences"]["auc"]["mean"] == pytest.approx(expected.mean) == 0.075
    assert found["differences"]["auc"]["p"] == pytest.approx(expected.p)
    assert found["runs"] == 2, "the winner's third run has no partner"
    assert found["reference"]["auc"][0] == pytest.approx((0.75 + 0.6) / 2)


@pytest.mark.parametrize(
    ("variant", "winner"),
    [(runs([[0.8, 0.7]], state="FAIL"), runs([[0.8, 0.7]])), (runs([[0.8, 0.7], [0.5, 0.5]]), runs([[0.8, 0.7]]))],
)
def test_a_run_that_is_missing_is_an_error(variant: Any, winner: Any) -> None:
    with pytest.raises(SearchError, match="Expected run"):
        compare_runs(variant, winner, folds=2)


def test_folders_of_variants_stay_below_the_search() -> None:
    home = Home(Path("/home"))
    folder = variant_folder(home, "s", 3, "layout=../../x y=1").path
    assert folder.parent == home.run("s").path / "confirm" / "trial_00003" / "variants"
    assert variant_folder(home, "s", 3, "layout=1d") != variant_folder(home, "s", 3, "layout=shuffled")
