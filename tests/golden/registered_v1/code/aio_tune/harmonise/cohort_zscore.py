"""Z-scores within a cohort."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aio_tune.expression import Floats, Matrix, Rows, as_rows, mean_and_sd
from aio_tune.harmonise.base import Harmoniser

SD_FLOOR = 0.05
"""Smallest standard deviation divided by, log2 units: hardly expressed genes must not be blown up to signal."""


@dataclass(frozen=True, eq=False)
class CohortZScore(Harmoniser):
    """Per gene (x - mean) / sd, in standard deviations, with the mean and sd of the cohort that the sample is from.

    Training rows are scored with the training rows' mean and sd, a target cohort with its own. A gene whose sd is
    below ``SD_FLOOR`` is divided by that, so a constant gene is 0. Scores are not clipped; the scaling after it may.

    Attributes:
        mean: of each gene in training, float32, shape (genes,), log2(TPM+1).
        sd: standard deviation (ddof 0), at least ``SD_FLOOR``, likewise.
    """

    name: ClassVar[str] = "cohort_zscore"
    transductive: ClassVar[bool] = True
    mean: Floats
    sd: Floats

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        mean, sd = mean_and_sd(as_rows(x_train))
        return cls(mean.astype(np.float32), np.maximum(sd, SD_FLOOR).astype(np.float32))

    def reference(self, x: Floats) -> Floats:
        scores = x - self.mean
        scores /= self.sd
        return scores

    def _transform(self, x: Floats) -> Floats:
        return self.fit(x).reference(x)
