"""Linear models on principal components: logistic regression, and the support vector machine.

Both are the plain ones of expression studies: per-gene standardisation, principal components, scikit-learn's default
penalty. They have no setting that could be tuned here, on purpose.

One thing is ours: all scores are divided by one number, the standard deviation of the first component. A principal
component of standardised genes grows with the square root of their number, so that on raw scores the default penalty
is next to none, and the less the more genes there are. On the real GSE96058 subset (three draws of 5 folds) this
raised the logistic regression's mean AUC from .829 to .851 for Ki67 and from .790 to .821 for NHG; a network is to be
held against the better one.

Further kinds of omics are columns like genes; what was not measured is at its column's mean over the training rows.

Rows that are over the memory budget are read in pieces, and their components found by incremental PCA (Ross et al.,
Int J Comput Vis 77:125, 2008), which are nearly the same.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.baselines.base import Baseline, Expression, Labels, Probabilities, check_training, spread
from aio_tune.expression import PIECE, Rows


@dataclass(frozen=True, eq=False)
class _Components:
    """Standardised genes on principal components.

    Attributes:
        pipeline: scikit-learn's scaler and PCA.
        unit: standard deviation of the first component.
    """

    pipeline: Any
    unit: float

    @classmethod
    def fit(cls, x: Expression | Rows, most: int, seed: int) -> Self:
        # One component fewer than rows is all that centred rows span.
        n = min(most, len(x) - 1, x.shape[1])
        pipeline = _fit_in_pieces(x, n) if isinstance(x, Rows) else _fit_at_once(x, n, seed)
        return cls(pipeline, float(np.sqrt(pipeline[-1].explained_variance_[0])))

    def scores(self, x: Expression | Rows) -> npt.NDArray[np.float64]:
        """Shape (n, components)."""
        # The genes stay float32, for their memory; on float32 scores lbfgs stops before it has converged.
        parts = x.pieces() if isinstance(x, Rows) else [x]
        return np.concatenate([np.asarray(self.pipeline.transform(part), np.float64) for part in parts]) / self.unit


@dataclass(frozen=True, eq=False)
class _OnComponents(Baseline):
    """A scikit-learn classifier of the scores on ``most`` principal components, or as many as there are."""

    most: ClassVar[int]
    n_classes: int
    codes: npt.NDArray[np.integer]
    _components: _Components
    _estimator: Any

    @staticmethod
    @abstractmethod
    def _new() -> Any:
        """The classifier, not fitted."""

    @abstractmethod
    def _seen(self, scores: npt.NDArray[np.float64]) -> Probabilities:
        """Probabilities of the classes that training had."""

    @classmethod
    def fit(cls, x: Expression | Rows, y: Labels, classes: Sequence[str], seed: int) -> Self:
        codes = check_training(x, y)
        components = _Components.fit(x, cls.most, seed)
        return cls(len(classes), codes, components, cls._new().fit(components.scores(x), y))

    def predict(self, x: Expression | Rows) -> Probabilities:
        return spread(self._seen(self._components.scores(x)), self.codes, self.n_classes)


class LogisticOnComponents(_OnComponents):
    """Logistic regression on 50 principal components."""

    name: ClassVar[str] = "PCA + logistic regression"
    key: ClassVar[str] = "pca_logistic"
    most: ClassVar[int] = 50

    @staticmethod
    def _new() -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000)

    def _seen(self, scores: npt.NDArray[np.float64]) -> Probabilities:
        return np.asarray(self._estimator.predict_proba(scores))

    def weights(self) -> npt.NDArray[np.float64]:
        """What one standard deviation of each column adds to a class's linear term; of two classes to its log-odds.

        Returns:
            Shape (n_classes, n_columns), 0 for a class that training did not have.
        """
        coefficients = self._estimator.coef_
        if len(coefficients) == 1:
            coefficients = np.concatenate([-coefficients, coefficients])
        weights = np.zeros((self.n_classes, self._components.pipeline[-1].components_.shape[1]))
        weights[self.codes] = coefficients @ self._components.pipeline[-1].components_ / self._components.unit
        return weights


class LinearSvm(_OnComponents):
    """A linear support vector machine on up to 500 principal components; of fewer patients these are all genes.

    Its margins go through the logistic function (softmax for more than two classes): calls and AUC are the machine's
    own, the probabilities are not calibrated.
    """

    name: ClassVar[str] = "linear SVM"
    key: ClassVar[str] = "linear_svm"
    most: ClassVar[int] = 500

    @staticmethod
    def _new() -> Any:
        from sklearn.svm import SVC

        return SVC(kernel="linear", decision_function_shape="ovr")

    def _seen(self, scores: npt.NDArray[np.float64]) -> Probabilities:
        margins = self._estimator.decision_function(scores)
        if margins.ndim == 1:
            margins = np.stack([np.zeros_like(margins), margins], axis=1)
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


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
    left, at_once = np.empty((0, x.shape[1]), np.float32), max(PIECE, n_components)
    for piece in x.pieces():
        left = np.concatenate([left, _nan_to_mean(scaler.transform(piece))])
        if len(left) >= 2 * at_once:  # it wants as many rows as components each time, and the last piece may be short
            pca.partial_fit(left[:at_once])
            left = left[at_once:]
    pca.partial_fit(left)
    return make_pipeline(scaler, _masked(), pca)


def _masked() -> Any:
    """A step behind the scaler, which passes NaN over when it is fitted and leaves it where it is."""
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(_nan_to_mean)


def _nan_to_mean(standardised: Expression) -> Expression:
    """In place: a matrix of expression alone is not copied for nothing."""
    return np.nan_to_num(standardised, copy=False, nan=0.0)
