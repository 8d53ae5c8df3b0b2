"""Evaluation: what a model is worth on patients it never saw, beside what is to be had without it.

    baselines   what a network has to beat, on the same folds or training rows
    external    a promoted ensemble on another cohort
    unseen      what a cohort must be for that: of the model's task and units, and of none of its patients
    result      what was found
    predict     calls of samples at hand or of an expression file
    follow_up   how long patients lived, from clinical tables
    attribution which genes drive a call
    survival    Kaplan-Meier curves, log-rank test and hazard ratios of groups of patients

Importing this package imports neither scikit-learn nor Keras.
"""

from aio_tune.evaluation.baselines import BASELINES, Baseline, LogisticOnComponents, cross_validate
from aio_tune.evaluation.external import evaluate
from aio_tune.evaluation.predict import (
    Predictor,
    call_samples,
    only_sure,
    predict_file,
    read_samples,
)
from aio_tune.evaluation.result import Evaluation
from aio_tune.evaluation.unseen import check_unseen

__all__ = [
    "BASELINES",
    "Baseline",
    "Evaluation",
    "LogisticOnComponents",
    "Predictor",
    "call_samples",
    "check_unseen",
    "cross_validate",
    "evaluate",
    "only_sure",
    "predict_file",
    "read_samples",
]
