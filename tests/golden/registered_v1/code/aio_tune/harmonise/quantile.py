"""Quantile normalisation of samples to the training rows' distribution."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aio_tune.expression import Floats, Matrix, Rows, as_rows
from aio_tune.harmonise.base import Harmoniser, mean_ranks


@dataclass(frozen=True, eq=False)
class Quantile(Harmoniser):
    """Gives every sample the distribution of values that training samples have on average; log2(TPM+1).

    The reference distribution is the mean, over the training rows, of each row's sorted values. A sample's lowest gene
    gets its first value, and so on; genes that tie get the value at their mean rank, linearly interpolated. Bolstad et
    al. take the reference from all samples that are normalised together; here it is frozen once fitted, so that a new
    patient changes nothing and can come alone.

    Source: Bolstad et al., Bioinformatics 19:185, 2003.

    Attributes:
        distribution: the reference, ascending, float32, shape (genes,), log2(TPM+1).
    """

    name: ClassVar[str] = "quantile"
    transductive: ClassVar[bool] = False
    distribution: Floats

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        rows = as_rows(x_train)
        total = sum(np.sort(piece, axis=1).sum(axis=0, dtype=np.float64) for piece in rows.pieces())
        return cls(np.asarray(total / len(rows), np.float32))

    def reference(self, x: Floats) -> Floats:
        normalised = np.empty(x.shape, dtype=np.float32)
        for row, values in enumerate(x):
            ranks = mean_ranks(values)  # whole, or halfway between two
            below, above = np.floor(ranks).astype(np.intp), np.ceil(ranks).astype(np.intp)
            normalised[row] = (self.distribution[below] + self.distribution[above]) / 2
        return normalised
