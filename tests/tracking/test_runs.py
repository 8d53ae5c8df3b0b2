import json
from pathlib import Path

import pytest

from aio_tune.ledger import Event, Ledger, read_events
from aio_tune.tracking.runs import Progress, Write, flatten, translate
from tests.tracking.conftest import auc, write_end, write_rung, write_search, write_trial


@pytest.fixture
def events(tmp_path: Path) -> list[Event]:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write_search(ledger)
        write_trial(ledger, 0)
        write_trial(ledger, 1, "PRUNED")
        write_trial(ledger, 2)
        write_end(ledger, best_trial=2)
        return read_events(ledger.path)[0]


def points(write: Write, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in write.points if point.key == key]


def test_curves_of_each_fold_and_their_mean(events: list[Event]) -> None:
    trial = next(write for write in translate(events, Progress()) if write.trial == 0)
    # Fold 0 is alone until epoch 2; folds 1 and 2 join at the second rung and start at epoch 1.
    assert points(trial, "fold_0_train_loss") == [(1, 1), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4), (5, 1 / 5)]
    assert points(trial, "fold_2_train_loss") == [(1, 3), (2, 3 / 2), (3, 3 / 3), (4, 3 / 4), (5, 3 / 5)]
    expected = [(1, 1), (2, 1 / 2), (3, 2 / 3), (4, 2 / 4), (5, 2 / 5)]
    found = points(trial, "mean_train_loss")
    assert [step for step, _ in found] == [1, 2, 3, 4, 5]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected])


def test_no_point_is_said_twice(events: list[Event]) -> None:
    for write in translate(events, Progress()):
        said = [(point.key, point.step, point.time) for point in write.points]
        assert len(said) == len(set(said))


@pytest.mark.parametrize("cut", range(1, 13))
def test_in_two_portions_as_in_one(events: list[Event], cut: int) -> None:
    """A restart anywhere, with the progress noted as JSON, says the same."""
    whole_progress = Progress()
    whole = {write.trial: write for write in translate(events, whole_progress)}
    progress = Progress()
    pieces = translate(events[:cut], progress)
    progress = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    pieces += translate(events[cut:], progress)
    assert progress == whole_progress
    for trial, write in whole.items():
        said = [point for piece in pieces if piece.trial == trial for point in piece.points]
        assert said == write.points
        assert [piece.status for piece in pieces if piece.trial == trial and piece.status][-1] == write.status


def test_missing_numbers_are_left_out(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append("trial_asked", trial=0, params={})
        ledger.append(
            "rung_reported",
            trial=0,
            rung=0,
            folds=[0],
            epoch=2,
            value=float("nan"),
            seconds=1.0,
            parameters=5,
            fold_metrics={"0": {"auc": float("nan"), "accuracy": 0.5}},
            curves={"0": {"train_loss": [1.0, float("nan")]}},
            from_epoch={"0": 0},
        )
        ledger.append("trial_ended", trial=0, state="COMPLETE", value=None, reason="", cv={"auc": [None, None]})
        events, _ = read_events(ledger.path)
    (trial,) = (write for write in translate(events, Progress()) if write.trial == 0)
    keys = {point.key for point in trial.points}
    assert keys == {
        *("rung", "folds", "epoch", "seconds", "parameters"),
        *("fold_0_accuracy", "fold_0_train_loss", "mean_train_loss"),
    }
    assert points(trial, "fold_0_train_loss") == [(1, 1.0)]


def test_best_trial_is_the_best_that_finished(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write_search(ledger)
        for trial, state in ((3, "COMPLETE"), (5, "PRUNED"), (1, "COMPLETE")):
            write_trial(ledger, trial, state)
        events, _ = read_events(ledger.path)
    progress = Progress()
    search = translate(events, progress)[0]
    assert (progress.best_trial, progress.best_value) == (3, auc(3))
    assert search.tags["aio.best_trial"] == "3"
    assert points(search, "best_value") == [(1, auc(3)), (3, auc(3))]


def test_unknown_kinds_are_passed_over(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append("something_of_a_later_version", trial=1)
        write_rung(ledger, 0, 0)
        events, _ = read_events(ledger.path)
    assert [write.trial for write in translate(events, Progress())] == [0]


def test_flatten_keeps_numbers_readable() -> None:
    nested = {"a": {"b": 1, "c": [1, 2]}, "d": 1e-5, "e": None, "f": "text", "g": True}
    assert flatten(nested) == {"a.b": "1", "a.c": "[1, 2]", "d": "1e-05", "e": "null", "f": "text", "g": "true"}
