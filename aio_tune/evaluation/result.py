"""What an evaluation has found, for tables, tracking and JSON."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.baselines import BASELINES

if TYPE_CHECKING:
    import pandas as pd

Metrics = dict[str, float]
Estimate = tuple[float, float, float]


@dataclass(frozen=True)
class NoCall:
    """What comes of calling those alone whose set, by the model's conformal thresholds, holds one class.

    Attributes:
        error: tolerated share of sets without the true class; what the thresholds promise for patients like those in
            training.
        held: share of sets with the true class; less than 1 - ``error`` shows a shift.
        called: share of samples that are called.
        accuracy: of these calls, NaN where there is none.
    """

    error: float
    held: float
    called: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out. Metrics are those of ``aio_tune.metrics.evaluate_calls``, in [0, 1], higher is better.

    Attributes:
        task: the clinical question.
        classes: class names.
        cohort: where the patients are from.
        simulated: whether that cohort was simulated.
        dataset: fingerprint of the dataset.
        n: samples with a known label, which everything here is about.
        n_patients: how many patients these are.
        n_unlabelled: samples left out for want of a label.
        class_counts: class -> samples.
        missing_genes: genes of the model that the dataset lacks.
        profiles_compared: whether the dataset's genes are the model's, so that patients of the training would be known
            by their profiles too, and not by their ids alone.
        folds: metric -> mean and standard deviation over the K fold networks, each on the whole cohort.
        ensemble: metric -> value, low and high: that of the mean of their probabilities, and its 95 % bootstrap
            interval over patients.
        majority_class: the cohort's most frequent class. To know it is to have seen the labels, so no model is owed
            to beat it; one that does not is of no use there.
        majority: metrics of always answering it.
        baselines: name -> metric -> value, low and high, of the classical baselines, fitted on the model's training
            patients and its genes and tested on the same samples, intervals drawn as for the ensemble; empty where
            ``baseline_note`` says why there is none.
        baseline_note: what the baselines were trained on, or why there is none; one line.
        brier: Brier's score of the ensemble's probabilities, lower is better; see ``aio_tune.calibration.brier``.
        brier_calibrated: the same at the model's temperature, NaN where it has none.
        brier_baseline: that of logistic regression on components, NaN where there is none.
        no_call: for each error that the model has a threshold for, ascending.
        confusion: counts of the ensemble's calls, shape (n_classes, n_classes), [true, called].
        labels: class indices, shape (n,).
        probabilities: by the ensemble, shape (n, n_classes); with ``labels`` what a ROC curve needs.
        calls: one row per sample, see ``aio_tune.calls.calls_table``, and its label as ``truth``.

    Whatever is undefined, like the AUC of a cohort of one class, is NaN.
    """

    task: str
    classes: tuple[str, ...]
    cohort: str
    simulated: bool
    dataset: str
    n: int
    n_patients: int
    n_unlabelled: int
    class_counts: dict[str, int]
    missing_genes: tuple[str, ...]
    profiles_compared: bool
    folds: dict[str, tuple[float, float]]
    ensemble: dict[str, Estimate]
    majority_class: str
    majority: Metrics
    baselines: dict[str, dict[str, Estimate]]
    baseline_note: str
    brier: float
    brier_calibrated: float
    brier_baseline: float
    no_call: tuple[NoCall, ...]
    confusion: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]
    probabilities: npt.NDArray[np.floating]
    calls: "pd.DataFrame"

    def flat_metrics(self) -> Metrics:
        """Every figure under one name, for tracking.

        ``auc`` is the ensemble's, with ``auc_low`` and ``auc_high``; ``fold_auc_mean`` and ``fold_auc_sd`` are over
        the folds; ``majority_auc``, ``pca_logistic_auc``, and the baselines' ``_low`` and ``_high``, are as they say.
        ``called_10`` is the share that is called at a tolerated error of 10 %, ``called_10_accuracy`` how many of these
        calls are right, ``held_10`` the share of sets with the true class.

        Raises:
            ValueError: two figures have one name.
        """
        flat = _flat("", self.ensemble)
        for name, (mean, sd) in self.folds.items():
            flat |= {f"fold_{name}_mean": mean, f"fold_{name}_sd": sd}
        flat |= {f"majority_{name}": value for name, value in self.majority.items()}
        for baseline in BASELINES:
            flat |= _flat(f"{baseline.key}_", self.baselines.get(baseline.name, {}))
        flat |= {"brier": self.brier, "brier_calibrated": self.brier_calibrated, "brier_baseline": self.brier_baseline}
        for one in self.no_call:
            percent = round(100 * one.error)
            flat |= {f"called_{percent}": one.called, f"called_{percent}_accuracy": one.accuracy,
                     f"held_{percent}": one.held}  # fmt: skip
        return flat

    def as_dict(self) -> dict[str, Any]:
        """The evaluation in JSON values, undefined figures as None; without the samples' own rows."""
        left_out = {"labels", "probabilities", "calls"}
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in left_out}
        return {name: _json_value(value) for name, value in fields.items()}


def _flat(prefix: str, estimates: Mapping[str, Estimate]) -> Metrics:
    """Each metric and the ends of its interval.

    Raises:
        ValueError: two figures have one name, as those of a class called low would.
    """
    flat: Metrics = {}
    for name, (value, low, high) in estimates.items():
        more = {f"{prefix}{name}": value, f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
        if twice := flat.keys() & more:
            raise ValueError(
                f"Expected each figure under a name of its own. Received {min(twice)} twice. "
                "Rename the class that it ends in, and prepare the dataset anew."
            )
        flat |= more
    return flat


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _json_value(dataclasses.asdict(value))
    return None if isinstance(value, float) and math.isnan(value) else value
