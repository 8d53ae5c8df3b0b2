"""Figures and tables on the runs of a search and of its best trials, for whoever opens them in the MLflow UI."""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aio_tune.calibration import calibration_bins
from aio_tune.config import RunFolder
from aio_tune.figures import (
    aio_figure,
    calibration_figure,
    confusion_figure,
    curves_figure,
    history_figure,
    importance_figure,
    network_figure,
    roc_figure,
)
from aio_tune.kinds import select
from aio_tune.metrics import confusion, one_against_rest, roc_points
from aio_tune.models.summary import network_layers, summary_text
from aio_tune.preprocess import Preprocessor
from aio_tune.search.importance import parameter_importance
from aio_tune.search.leaderboard import leaderboard
from aio_tune.search.out_of_fold import OutOfFold, read_out_of_fold, trained_as
from aio_tune.search.rows import TrainingRows
from aio_tune.search.state import SearchState, TrialRecord
from aio_tune.search_space import SearchSpec
from aio_tune.training.checkpoint import MODEL, PREPROCESSING
from aio_tune.trial import fold_folder, trial_folder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

EXAMPLES = 2
"""Patients of each class whose pictures are shown."""


@dataclass(frozen=True)
class Illustrations:
    """What a run shows besides its columns, each by its name; ``data`` are the numbers behind the figures."""

    figures: "dict[str, Figure]" = field(default_factory=dict)
    tables: "dict[str, pd.DataFrame]" = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    data: "dict[str, pd.DataFrame]" = field(default_factory=dict)


def illustrate_search(spec: SearchSpec, state: SearchState) -> Illustrations:
    """History and leaderboard of a search and, if there are trials enough, which parameters mattered."""
    import pandas as pd

    name, metric = state.started["name"], spec.metric
    figures, tables = {"history": _history(state, metric)}, {"leaderboard": _leaderboard(state)}
    if importances := parameter_importance(spec, state):
        n = sum(trial.state == "COMPLETE" for trial in state.trials.values())
        figures["importance"] = importance_figure(importances, n, f"{name}: what {metric} depended on")
        tables["importance"] = pd.DataFrame({"parameter": importances.keys(), "importance": importances.values()})
    return Illustrations(figures, tables, data={"history": tables["leaderboard"], **tables})


def _history(state: SearchState, metric: str) -> "Figure":
    values: dict[str, dict[int, float]] = {}
    best: dict[int, float] = {}
    for trial in state.trials.values():
        if trial.value is not None:
            values.setdefault(trial.state, {})[trial.number] = trial.value
            if trial.state == "COMPLETE":
                best[trial.number] = max([trial.value, *best.values()])
    return history_figure(values, best, metric, f"{state.started['name']}: {metric} of each trial")


def _leaderboard(state: SearchState) -> "pd.DataFrame":
    """With a column for each parameter."""
    import pandas as pd

    board = pd.json_normalize(leaderboard(state), max_level=0)
    params = board.pop("params").map(lambda values: {name: _cell(value) for name, value in values.items()})
    return board.join(pd.DataFrame(params.tolist(), index=board.index))


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def illustrate_trial(run: RunFolder, trial: TrialRecord, rows: TrainingRows) -> Illustrations:
    """What a complete trial learnt, and what its out-of-fold calls are worth.

    Learning curves, ROC, confusion matrix, calibration, the network as a picture and in words, and the AIOs of two
    patients of each class.
    """
    import pandas as pd

    calls = read_out_of_fold(run, trial, rows)
    title = f"{run.name}, trial {trial.number}"
    counts = confusion(calls.labels, calls.probabilities, len(calls.classes))
    layers = network_layers(fold_folder(run.trials, trained_as(trial), 0) / MODEL)
    curves = _curves(run, trial)
    figures = {
        "curves": curves_figure(curves, title),
        "roc": _roc(calls, f"{title}: out of fold"),
        "confusion": confusion_figure(counts, calls.classes, f"{title}: out of fold"),
        "calibration": _calibration(calls, f"{title}: out of fold"),
        "network": network_figure(layers, f"{title}: the network, {trial.parameters:,} weights"),
        "aio": _pictures(run, trial, rows),
    }
    called = calls.table()
    data = {
        "curves": _curve_table(curves),
        **dict.fromkeys(("roc", "confusion", "calibration"), called),
        "network": pd.DataFrame([asdict(layer) for layer in layers]),
    }
    return Illustrations(figures, texts={"network": summary_text(layers)}, data=data)


def _curves(run: RunFolder, trial: TrialRecord) -> dict[str, dict[str, dict[int, float]]]:
    """Curve -> fold -> epoch -> value, from the reports of all rungs."""
    curves: dict[str, dict[str, dict[int, float]]] = {}
    for rung in range(trial.rung + 1):
        report = json.loads((trial_folder(run.trials, trained_as(trial)) / f"rung_{rung}.json").read_text())
        for fold, named in report["curves"].items():
            for name, values in named.items():
                points = curves.setdefault(name, {}).setdefault(fold, {})
                points.update(enumerate(values, start=report["from_epoch"].get(fold, 0) + 1))
    return curves


def _curve_table(curves: dict[str, dict[str, dict[int, float]]]) -> "pd.DataFrame":
    """One row for each curve, fold and epoch."""
    import pandas as pd

    rows = [
        (name, fold, epoch, value)
        for name, folds in curves.items()
        for fold, points in folds.items()
        for epoch, value in sorted(points.items())
    ]
    return pd.DataFrame(rows, columns=["curve", "fold", "epoch", "value"])


def _roc(calls: OutOfFold, title: str) -> "Figure":
    """For two classes one curve per fold and the band of all; for more one curve per class, over all folds."""
    questions = one_against_rest(calls.labels, calls.probabilities, calls.classes)
    if len(questions) > 1:
        return roc_figure({name: roc_points(*question) for name, question in questions.items()}, title)
    ((truth, score),) = questions.values()
    of_fold = {f"fold {fold}": calls.fold_of == fold for fold in np.unique(calls.fold_of)}
    curves = {name: roc_points(truth[rows], score[rows]) for name, rows in of_fold.items()}
    return roc_figure(curves, title, band=list(curves.values()))


def _calibration(calls: OutOfFold, title: str) -> "Figure":
    questions = one_against_rest(calls.labels, calls.probabilities, calls.classes)
    return calibration_figure({name: calibration_bins(*question) for name, question in questions.items()}, title)


def _pictures(run: RunFolder, trial: TrialRecord, rows: TrainingRows) -> "Figure":
    preprocessor = Preprocessor.load(fold_folder(run.trials, trained_as(trial), 0) / PREPROCESSING)
    chosen = np.concatenate([np.flatnonzero(rows.labels == i)[:EXAMPLES] for i in range(rows.task.n_classes)])
    titles = [f"{rows.samples['sample_id'][row]}: {rows.task.classes[rows.labels[row]]}" for row in chosen]
    # As training rows, each by itself: the few shown are no cohort to a transductive harmoniser.
    drawn = select(rows.stored.only(chosen).read(), rows.kinds, preprocessor.kinds)[:]
    return aio_figure(preprocessor.transform_training(drawn), titles)
