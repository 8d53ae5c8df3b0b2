"""Ranks within a sample."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aio_tune.expression import Floats, Matrix, Rows
from aio_tune.harmonise.base import Harmoniser, mean_ranks

TOP = 10.0
"""Rank of a sample's highest gene. With it ranks spread over samples about as log2(TPM+1) does, so that the smallest
standard deviation that a later scaling reckons with means what it meant."""


@dataclass(frozen=True, eq=False)
class WithinSampleRank(Harmoniser):
    """Rank of each gene within its sample, from 0 (lowest) to ``TOP`` (highest); genes that tie share their mean rank.

    Nothing is fitted: any monotone change of a whole sample, such as another platform's scale, leaves it as it is.
    What a platform does to single genes stays. In front of scaling ``rank`` it changes nothing; in front of ``zscore``
    each gene's ranks are compared with its ranks in training. A picture of one gene has rank ``TOP`` / 2.
    """

    name: ClassVar[str] = "rank"
    transductive: ClassVar[bool] = False

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        return cls()

    def reference(self, x: Floats) -> Floats:
        ranks = np.empty(x.shape, dtype=np.float32)
        last = x.shape[1] - 1
        for row, values in enumerate(x):
            ranks[row] = mean_ranks(values) * (TOP / last) if last else TOP / 2
        return ranks
