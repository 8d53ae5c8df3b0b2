"""What a network has to beat, on the same folds.

    base         what a baseline is, and how one is cross-validated
    majority     always the same answer
    genes        the single best gene; gradient boosting on the best few hundred
    components   logistic regression and linear SVM on principal components

A further one is a class with ``fit`` and ``predict``, and its place in ``BASELINES``.
"""

from aio_tune.evaluation.baselines.base import Baseline, cross_validate
from aio_tune.evaluation.baselines.components import LinearSvm, LogisticOnComponents
from aio_tune.evaluation.baselines.genes import Boosting, SingleGene, f_statistics
from aio_tune.evaluation.baselines.majority import Majority

BASELINES: tuple[type[Baseline], ...] = (Majority, SingleGene, LogisticOnComponents, LinearSvm, Boosting)
"""In the order of the tables."""

__all__ = [
    "BASELINES",
    "Baseline",
    "Boosting",
    "LinearSvm",
    "LogisticOnComponents",
    "Majority",
    "SingleGene",
    "cross_validate",
    "f_statistics",
]
