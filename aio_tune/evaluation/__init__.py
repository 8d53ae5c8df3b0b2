"""Evaluation: what a model is worth on patients it never saw, beside what is to be had without it.

    baselines   majority class, and scaled genes -> PCA -> logistic regression, on the same folds or training rows
    external    a promoted ensemble on another cohort, refused where patients overlap
    predict     the table of calls, of samples at hand or of an expression file

Importing this package imports neither scikit-learn nor Keras.
"""

from aio_tune.evaluation.baselines import (
    Baseline,
    cross_validate_baseline,
    cross_validate_majority,
    fit_baseline,
    majority,
)
from aio_tune.evaluation.external import Evaluation, check_unseen, evaluate
from aio_tune.evaluation.predict import (
    Predictor,
    call_samples,
    calls_table,
    predict_file,
    read_samples,
    write_calls,
)

__all__ = [
    "Baseline",
    "Evaluation",
    "Predictor",
    "call_samples",
    "calls_table",
    "check_unseen",
    "cross_validate_baseline",
    "cross_validate_majority",
    "evaluate",
    "fit_baseline",
    "majority",
    "predict_file",
    "read_samples",
    "write_calls",
]
