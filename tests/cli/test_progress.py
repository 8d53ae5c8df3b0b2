"""What a user sees of a running search."""

import pytest

from aio_tune.cli.progress import SearchView
from aio_tune.numbers import duration, interval, mean_sd

EVENTS = [
    {"kind": "search_started", "settings": {"metric": "auc"}},
    {"kind": "trial_asked", "trial": 0, "params": {}},
    {"kind": "rung_reported", "trial": 0, "rung": 0, "epoch": 4, "folds": [0], "value": 0.75, "fold_metrics": {},
     "seconds": 3.0, "parameters": 10},
    {"kind": "rung_reported", "trial": 0, "rung": 1, "epoch": 9, "folds": [0, 1], "value": 0.81234, "fold_metrics": {},
     "seconds": 5.0, "parameters": 10},
    {"kind": "trial_ended", "trial": 0, "state": "COMPLETE", "value": 0.81234, "reason": "finished all folds",
     "cv": {"auc": [0.81234, 0.02]}},
    {"kind": "trial_asked", "trial": 1, "params": {}},
    {"kind": "trial_ended", "trial": 1, "state": "FAIL", "value": None, "reason": "no such layout", "cv": {}},
]  # fmt: skip


def test_lines_for_a_log_file(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchView(trials=4, metric="auc", n_rungs=2, live=False) as view:
        for event in EVENTS:
            view({"time": 0.0, **event})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("trial   0  rung 1/2  folds 1  epoch   4  CV auc 0.750  best none yet")
    assert "CV auc 0.812" in lines[1]
    assert lines[2] == "trial   0  COMPLETE: finished all folds  best 0.812 ± 0.020 (trial 0)"
    assert lines[3].startswith("trial   1  FAIL: no such layout")


def test_table_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchView(trials=4, metric="auc", n_rungs=2, live=True) as view:
        for event in EVENTS:
            view({"time": 0.0, **event})
    shown = capsys.readouterr().out
    assert "2/4 trials" in shown
    assert "best 0.812 ± 0.020 (trial 0)" in shown
    assert "COMPLETE" in shown
    assert "FAIL" in shown


def test_numbers() -> None:
    assert mean_sd((0.8214, 0.0231)) == "0.821 ± 0.023"
    assert mean_sd((None, None)) == "-"
    assert mean_sd((float("nan"), 0.1)) == "-"
    assert interval((0.8, 0.7, float("nan"))) == "0.800 [0.700, -]"
    assert [duration(s) for s in (9.4, 130, 3725)] == ["9s", "2m10s", "1h02m"]
