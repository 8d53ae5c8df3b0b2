"""How values become brightness: fitted on training rows, gene by gene, or found within each sample.

A new scaling is one class and one line in ``SCALINGS``. Importing this module imports NumPy alone, since it travels
inside registered models.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np

from aio_tune.expression import ArrayState, Floats, Matrix, Rows, as_rows, low_and_high, mean_and_sd
from aio_tune.harmonise import mean_ranks

CLIP = 5.0
"""Limit of z-scores, in standard deviations: one outlying sample of another platform must not rule the network."""
SD_FLOOR = 0.05
"""Smallest standard deviation divided by, log2 units: hardly expressed genes must not be blown up to signal."""
RANGE_FLOOR = 1e-3
"""Smallest range that counts as one, log2 units: below it a gene is constant, and black."""


class Scaling(ArrayState, ABC):
    """Turns expression (log2 units) into brightness, gene by gene or sample by sample.

    Every implementation is a frozen dataclass whose fields are arrays of shape (genes,), each gene's value fitted on
    that gene alone; they are its whole fitted state.
    """

    name: str

    @classmethod
    @abstractmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        """Fit on the training rows, float32, shape (n, genes), read in pieces."""

    @abstractmethod
    def transform(self, x: Floats) -> Floats:
        """Scale rows, shape (n, genes); a new float32 array of the same shape. Rows do not affect one another."""


@dataclass(frozen=True, eq=False)
class MinMax(Scaling):
    """Per gene from training minimum to maximum onto 0..255, as in the paper, clipped there, then divided by 255.

    So pictures are within 0..1. Unlike the bytes of an image file, brightness is not rounded. A gene that is constant
    in training is 0 everywhere.

    Attributes:
        low: minimum of each gene in training, float32, shape (genes,).
        high: maximum, likewise.
    """

    name = "minmax"
    low: Floats
    high: Floats

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        return cls(*low_and_high(as_rows(x_train)))

    def transform(self, x: Floats) -> Floats:
        span = self.high - self.low
        constant = span < RANGE_FLOOR
        brightness = x - self.low
        brightness *= np.where(constant, 0, 255 / np.where(constant, 1, span)).astype(np.float32)
        np.clip(brightness, 0, 255, out=brightness)
        brightness /= 255
        return brightness


@dataclass(frozen=True, eq=False)
class ZScore(Scaling):
    """Per gene (x - mean) / sd of the training rows, clipped to ±``CLIP``.

    Attributes:
        mean: of each gene in training, float32, shape (genes,), log2 units.
        sd: standard deviation (ddof 0), at least ``SD_FLOOR``, likewise.
    """

    name = "zscore"
    mean: Floats
    sd: Floats

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        mean, sd = mean_and_sd(as_rows(x_train))
        return cls(mean.astype(np.float32), np.maximum(sd, SD_FLOOR).astype(np.float32))

    def transform(self, x: Floats) -> Floats:
        scores = x - self.mean
        scores /= self.sd
        return np.clip(scores, -CLIP, CLIP, out=scores)


@dataclass(frozen=True, eq=False)
class Rank(Scaling):
    """Rank of each gene within its sample, from -1 (lowest) to 1 (highest); genes that tie share their mean rank.

    Nothing is fitted: any monotone change of a whole sample, such as another platform's scale, leaves it as it is.
    """

    name = "rank"

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        return cls()

    def transform(self, x: Floats) -> Floats:
        ranks = np.empty(x.shape, dtype=np.float32)
        half = max((x.shape[1] - 1) / 2, 0.5)  # with a single gene the only rank is 0
        for row, values in enumerate(x):
            ranks[row] = mean_ranks(values) / half - (0 if x.shape[1] == 1 else 1)
        return ranks


SCALINGS: dict[str, type[Scaling]] = {scaling.name: scaling for scaling in (MinMax, ZScore, Rank)}
