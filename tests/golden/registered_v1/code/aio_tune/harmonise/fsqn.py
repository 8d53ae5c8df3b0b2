"""Feature-specific quantile normalisation."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aio_tune.expression import Floats, Matrix, Rows, as_rows
from aio_tune.harmonise.base import Harmoniser, mean_ranks

POINTS = 257
"""Largest number of quantiles kept per gene. All values of 3,000 samples x 16,384 genes would add 200 MB to every fold
of a model; these are 17 MB."""


@dataclass(frozen=True, eq=False)
class Fsqn(Harmoniser):
    """Gives every gene, over the target cohort, the distribution that it has over the training rows; log2(TPM+1).

    The lowest sample of n gets the gene's training minimum, the highest its maximum, and the one of rank r (from 0)
    the training quantile r / (n - 1), linearly interpolated; samples that tie share the quantile of their mean rank.
    So a gene that is constant in the target gets its training median. Training rows are the reference, and stay.

    Past ``POINTS`` training rows the distribution is kept as that many evenly spaced quantiles.

    Source: Franks, Cai & Whitfield, Bioinformatics 34:1868, 2018.

    Attributes:
        quantiles: of each gene in training, ascending, float32, shape (min(n, POINTS), genes), log2(TPM+1); row i is
            the quantile i / (rows - 1).
    """

    name: ClassVar[str] = "fsqn"
    transductive: ClassVar[bool] = True
    quantiles: Floats

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        ordered = np.sort(as_rows(x_train).whole(), axis=0)
        if len(ordered) <= POINTS:
            return cls(ordered)
        place = np.linspace(0, len(ordered) - 1, POINTS)
        low = np.floor(place).astype(np.int64)
        share = (place - low)[:, np.newaxis]
        high = np.minimum(low + 1, len(ordered) - 1)
        return cls((ordered[low] * (1 - share) + ordered[high] * share).astype(np.float32))

    def reference(self, x: Floats) -> Floats:
        return x

    def _transform(self, x: Floats) -> Floats:
        normalised = np.empty((x.shape[1], len(x)), dtype=np.float32)
        places = np.arange(len(self.quantiles))
        steps = (len(places) - 1) / (len(x) - 1)
        for gene, values in enumerate(np.ascontiguousarray(x.T)):
            normalised[gene] = np.interp(mean_ranks(values) * steps, places, self.quantiles[:, gene])
        return np.ascontiguousarray(normalised.T)
