"""Baselines on genes chosen one by one: the single best one, and gradient boosting on the best few hundred.

Genes are ranked by the F statistic of their one-way analysis of variance between the classes of the training rows. To
choose them on all rows would be the classic way to be wrong (Ambroise and McLachlan, PNAS 99:6562, 2002).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.baselines.base import Baseline, Expression, Labels, Probabilities, check_training, spread
from aio_tune.expression import Rows, as_rows

BEST = 500
"""Genes that boosting is shown: on all of them it takes minutes, and is no better."""


def f_statistics(x: Expression | Rows, y: Labels) -> npt.NDArray[np.float64]:
    """F of each column, shape (n_columns,), from one pass; 0 for a column that does not vary within the classes.

    Cells that are NaN count for nothing. As scikit-learn's ``f_classif``.
    """
    codes = np.unique(y)
    n, sums, squares = np.zeros((3, codes.size, x.shape[1]))
    # From the first row on: expression lies far from 0, and differences of large squares would lose digits.
    origin = np.nan_to_num(np.asarray(x[:1], np.float64))
    start = 0
    for piece in as_rows(x).pieces():
        values = piece.astype(np.float64) - origin
        known = ~np.isnan(values)
        values = np.where(known, values, 0.0)
        labels = y[start : start + len(piece)]
        start += len(piece)
        for i, code in enumerate(codes):
            of_class = labels == code
            n[i] += known[of_class].sum(axis=0)
            sums[i] += values[of_class].sum(axis=0)
            squares[i] += (values[of_class] ** 2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means, grand = sums / n, sums.sum(axis=0) / n.sum(axis=0)
        between = np.nansum(n * (means - grand) ** 2, axis=0) / (codes.size - 1)
        within = np.nansum(squares - sums**2 / n, axis=0) / (n.sum(axis=0) - codes.size)
        found = between / within
    return np.where(np.isfinite(found) & (within > 0), found, 0.0)


@dataclass(frozen=True, eq=False)
class SingleGene(Baseline):
    """Logistic regression on the one gene whose classes lie furthest apart: what a single marker would do.

    Attributes:
        gene: its column.
        middle: its mean over the training rows; stands in where it was not measured.
        scale: its standard deviation.
    """

    name: ClassVar[str] = "single best gene"
    key: ClassVar[str] = "single_gene"
    gene: int
    middle: float
    scale: float
    n_classes: int
    _codes: npt.NDArray[np.integer]
    _regression: Any

    @classmethod
    def fit(cls, x: Expression | Rows, y: Labels, classes: Sequence[str], seed: int) -> Self:
        from sklearn.linear_model import LogisticRegression

        codes = check_training(x, y)
        gene = int(f_statistics(x, y).argmax())
        values = _columns(x, np.array([gene]))
        middle, scale = float(np.nanmean(values)), float(np.nanstd(values)) or 1.0
        regression = LogisticRegression(max_iter=1000).fit(_standardised(values, middle, scale), y)
        return cls(gene, middle, scale, len(classes), codes, regression)

    def predict(self, x: Expression | Rows) -> Probabilities:
        values = _standardised(_columns(x, np.array([self.gene])), self.middle, self.scale)
        return spread(self._regression.predict_proba(values), self._codes, self.n_classes)


@dataclass(frozen=True, eq=False)
class Boosting(Baseline):
    """Gradient-boosted trees (scikit-learn's histogram form, its own settings) on the ``BEST`` genes.

    Attributes:
        genes: their columns.
    """

    name: ClassVar[str] = "gradient boosting"
    key: ClassVar[str] = "boosting"
    genes: npt.NDArray[np.intp]
    n_classes: int
    _codes: npt.NDArray[np.integer]
    _trees: Any

    @classmethod
    def fit(cls, x: Expression | Rows, y: Labels, classes: Sequence[str], seed: int) -> Self:
        from sklearn.ensemble import HistGradientBoostingClassifier

        codes = check_training(x, y)
        # Stable, so that equal genes are taken in their order.
        genes = np.sort(np.argsort(-f_statistics(x, y), kind="stable")[:BEST])
        trees = HistGradientBoostingClassifier(early_stopping=False, random_state=seed).fit(_columns(x, genes), y)
        return cls(genes, len(classes), codes, trees)

    def predict(self, x: Expression | Rows) -> Probabilities:
        return spread(self._trees.predict_proba(_columns(x, self.genes)), self._codes, self.n_classes)


def _columns(x: Expression | Rows, columns: npt.NDArray[np.intp]) -> Expression:
    """Some columns of all rows, in memory."""
    return np.concatenate([piece[:, columns] for piece in as_rows(x).pieces()])


def _standardised(values: Expression, middle: float, scale: float) -> npt.NDArray[np.float64]:
    return np.nan_to_num((values.astype(np.float64) - middle) / scale, nan=0.0)
