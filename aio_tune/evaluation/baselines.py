"""What a network has to beat: always the same answer, and a linear model on principal components.

The classical baseline is the plain one of expression studies: per-gene standardisation, 50 principal components,
logistic regression with scikit-learn's default penalty. It has no setting that could be tuned here, on purpose.

One thing is ours: all scores are divided by one number, the standard deviation of the first component. A principal
component of standardised genes grows with the square root of their number, so that on raw scores the default penalty
is next to none, and the less the more genes there are. On the real GSE96058 subset (three draws of 5 folds) this
raised the baseline's mean AUC from .829 to .851 for Ki67 and from .790 to .821 for NHG; a network is to be held
against the better one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import EvaluationError
from aio_tune.folds import Folds
from aio_tune.metrics import evaluate_calls

COMPONENTS = 50

Expression = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted baseline. Made by ``fit_baseline``.

    Attributes:
        n_classes: number of columns of what ``predict`` gives.
        codes: class indices seen in training, ascending; the others get probability 0.
    """

    n_classes: int
    codes: npt.NDArray[np.integer]
    _components: Any  # scikit-learn pipeline: scaler, PCA
    _unit: float  # standard deviation of the first component
    _regression: Any  # scikit-learn LogisticRegression

    def predict(self, x: Expression) -> Probabilities:
        """Class probabilities, shape (n, n_classes), of samples (n, n_genes), genes ordered as in training."""
        seen = self._regression.predict_proba(_scores(self._components, x, self._unit))
        probabilities = np.zeros((len(x), self.n_classes))
        probabilities[:, self.codes] = seen
        return probabilities


def fit_baseline(x: Expression, y: Labels, classes: Sequence[str], seed: int) -> Baseline:
    """Fit scaler, PCA and logistic regression.

    Args:
        x: training rows, log2(TPM+1), shape (n, n_genes).
        y: class indices, shape (n,), none missing.
        classes: class names.
        seed: of the randomised PCA, which scikit-learn uses for large inputs.

    Raises:
        EvaluationError: the rows hold fewer than two classes, or no gene varies among them.
    """
    codes = np.unique(y)
    if codes.size < 2:
        raise EvaluationError(
            f"Expected training rows of at least two classes for the baseline. Received {codes.size}."
        )
    if (x == x[0]).all():
        raise EvaluationError("Expected genes that vary among the training rows for the baseline. Received none.")
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # One component fewer than rows is all that centred rows span.
    n_components = min(COMPONENTS, len(x) - 1, x.shape[1])
    components = make_pipeline(StandardScaler(), PCA(n_components, random_state=seed))
    components.fit(x)
    unit = float(np.sqrt(components[-1].explained_variance_[0]))
    regression = LogisticRegression(max_iter=1000)
    regression.fit(_scores(components, x, unit), y)
    return Baseline(len(classes), codes, components, unit, regression)


def cross_validate_baseline(
    x: Expression, y: Labels, folds: Folds, classes: Sequence[str], seed: int
) -> list[dict[str, float]]:
    """The classical baseline's metrics on the validation rows of each fold, fitted on its training rows alone.

    Args:
        x: log2(TPM+1), shape (n, n_genes); rows as the folds number them.
        y: class indices, shape (n,).
        folds: the same as the network's.
        classes: class names.
        seed: see ``fit_baseline``.

    Returns:
        ``evaluate_calls`` per fold.
    """
    return [
        evaluate_calls(y[valid], fit_baseline(x[train], y[train], classes, seed).predict(x[valid]), classes)
        for train, valid in zip(folds.train, folds.valid, strict=True)
    ]


def majority(y_train: Labels, n: int, n_classes: int) -> Probabilities:
    """Probabilities, shape (n, n_classes), that always name the most frequent class of ``y_train``, first of equals."""
    probabilities = np.zeros((n, n_classes))
    probabilities[:, np.bincount(y_train, minlength=n_classes).argmax()] = 1.0
    return probabilities


def cross_validate_majority(x: Expression, y: Labels, folds: Folds, classes: Sequence[str]) -> list[dict[str, float]]:
    """Metrics of always answering the training rows' most frequent class; ``x`` is not looked at."""
    return [
        evaluate_calls(y[valid], majority(y[train], len(valid), len(classes)), classes)
        for train, valid in zip(folds.train, folds.valid, strict=True)
    ]


def _scores(components: Any, x: Expression, unit: float) -> npt.NDArray[np.float64]:
    # The genes stay float32, for their memory; on float32 scores lbfgs stops before it has converged.
    return np.asarray(components.transform(x), np.float64) / unit
