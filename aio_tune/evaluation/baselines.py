"""What a network has to beat: always the same answer, and a linear model on principal components.

The classical baseline is the plain one of expression studies: per-gene standardisation, 50 principal components,
logistic regression with scikit-learn's default penalty. It has no setting that could be tuned here, on purpose.

One thing is ours: all scores are divided by one number, the standard deviation of the first component. A principal
component of standardised genes grows with the square root of their number, so that on raw scores the default penalty
is next to none, and the less the more genes there are. On the real GSE96058 subset (three draws of 5 folds) this
raised the baseline's mean AUC from .829 to .851 for Ki67 and from .790 to .821 for NHG; a network is to be held
against the better one.

Further kinds of omics are columns like genes; what was not measured is at its column's mean over the training rows.

Rows that are over the memory budget are read in pieces, and their components found by incremental PCA (Ross et al.,
Int J Comput Vis 77:125, 2008), which are nearly the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import EvaluationError
from aio_tune.expression import PIECE, Matrix, Rows, as_rows
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

    def predict(self, x: Expression | Rows) -> Probabilities:
        """Class probabilities, shape (n, n_classes), of samples (n, n_genes), genes ordered as in training."""
        seen = self._regression.predict_proba(_scores(self._components, x, self._unit))
        probabilities = np.zeros((len(x), self.n_classes))
        probabilities[:, self.codes] = seen
        return probabilities


def fit_baseline(x: Expression | Rows, y: Labels, classes: Sequence[str], seed: int) -> Baseline:
    """Fit scaler, PCA and logistic regression.

    Args:
        x: training rows, log2(TPM+1), shape (n, n_columns), NaN where another kind was not measured; an array is fitted
            at once, others in pieces.
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
    if all(((piece == x[:1]) | np.isnan(piece)).all() for piece in as_rows(x).pieces()):
        raise EvaluationError("Expected genes that vary among the training rows for the baseline. Received none.")
    from sklearn.linear_model import LogisticRegression

    # One component fewer than rows is all that centred rows span.
    n_components = min(COMPONENTS, len(x) - 1, x.shape[1])
    components = _fit_in_pieces(x, n_components) if isinstance(x, Rows) else _fit_at_once(x, n_components, seed)
    unit = float(np.sqrt(components[-1].explained_variance_[0]))
    regression = LogisticRegression(max_iter=1000)
    regression.fit(_scores(components, x, unit), y)
    return Baseline(len(classes), codes, components, unit, regression)


def cross_validate_baseline(
    x: Matrix, y: Labels, folds: Folds, classes: Sequence[str], seed: int
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
        evaluate_calls(
            y[valid], fit_baseline(_some(x, train), y[train], classes, seed).predict(_some(x, valid)), classes
        )
        for train, valid in zip(folds.train, folds.valid, strict=True)
    ]


def majority(y_train: Labels, n: int, n_classes: int) -> Probabilities:
    """Probabilities, shape (n, n_classes), that always name the most frequent class of ``y_train``, first of equals."""
    probabilities = np.zeros((n, n_classes))
    probabilities[:, np.bincount(y_train, minlength=n_classes).argmax()] = 1.0
    return probabilities


def cross_validate_majority(x: Matrix, y: Labels, folds: Folds, classes: Sequence[str]) -> list[dict[str, float]]:
    """Metrics of always answering the training rows' most frequent class; ``x`` is not looked at."""
    return [
        evaluate_calls(y[valid], majority(y[train], len(valid), len(classes)), classes)
        for train, valid in zip(folds.train, folds.valid, strict=True)
    ]


def _some(x: Matrix, rows: npt.NDArray[np.integer]) -> Expression | Rows:
    return x[rows] if isinstance(x, np.ndarray) else Rows(x, rows)


def _fit_at_once(x: Expression, n_components: int, seed: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), _masked(), PCA(n_components, random_state=seed))
    with np.errstate(invalid="ignore"):  # of a column that nobody has
        return pipeline.fit(x)


def _fit_in_pieces(x: Rows, n_components: int) -> Any:
    from sklearn.decomposition import IncrementalPCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler, pca = StandardScaler(), IncrementalPCA(n_components)
    for piece in x.pieces():
        with np.errstate(invalid="ignore"):
            scaler.partial_fit(piece)
        # A column that nobody had so far begins as at the start; NaN would stay.
        scaler.mean_, scaler.var_ = np.nan_to_num(scaler.mean_), np.nan_to_num(scaler.var_)
    left = np.empty((0, x.shape[1]), np.float32)
    for piece in x.pieces():
        left = np.concatenate([left, _nan_to_mean(scaler.transform(piece))])
        if len(left) >= 2 * PIECE:  # it wants as many rows as components each time, and the last piece may be short
            pca.partial_fit(left[:PIECE])
            left = left[PIECE:]
    pca.partial_fit(left)
    return make_pipeline(scaler, _masked(), pca)


def _masked() -> Any:
    """A step behind the scaler, which passes NaN over when it is fitted and leaves it where it is."""
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(_nan_to_mean)


def _nan_to_mean(standardised: Expression) -> Expression:
    """In place: a matrix of expression alone is not copied for nothing."""
    return np.nan_to_num(standardised, copy=False, nan=0.0)


def _scores(components: Any, x: Expression | Rows, unit: float) -> npt.NDArray[np.float64]:
    # The genes stay float32, for their memory; on float32 scores lbfgs stops before it has converged.
    parts = x.pieces() if isinstance(x, Rows) else [x]
    return np.concatenate([np.asarray(components.transform(part), np.float64) for part in parts]) / unit
