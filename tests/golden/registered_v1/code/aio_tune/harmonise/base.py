"""The contract of a harmoniser, and what several of them need."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from aio_tune.expression import ArrayState, Floats, Matrix, Rows

LEAST_BATCH = 10
"""Smallest target cohort of a transductive harmoniser, samples: the standard deviation of 10 normal values has itself
a relative error of 1 / sqrt(2 * 9) = 24 %. Nothing below that is an estimate, least of all a single patient."""


class Harmoniser(ArrayState, ABC):
    """Makes samples of another cohort, or platform, comparable with the training rows. Never sees a label.

    There are two kinds:

    single-sample
        The result for a sample depends on the fitted state and on that sample. A new patient can be called alone.
    transductive
        It depends on the *batch* that the sample comes in as well: the target cohort's own distribution, gene by gene.
        So the batch has to be one whole cohort, measured in one way, and of at least ``LEAST_BATCH`` samples. It is
        assumed that the cohorts differ by measurement and not by their patients; where the target really has more
        aggressive tumours, that difference is taken away too (Nygaard et al., Biostatistics 17:29, 2016).

    Every implementation is a frozen dataclass whose fields are arrays; they are its whole fitted state. It guarantees,
    and one suite of tests checks for every member of ``HARMONISERS``, that
        - ``fit`` depends on the values of the training rows alone, all of which are one reference, whatever cohorts
          they are from;
        - ``reference`` and ``transform`` give finite float32 of the shape they get, depend on the state and their
          argument alone, and never write to their argument (they may return it);
        - ``reference`` treats each row by itself, for either kind, so any part of the training rows can be asked for;
        - ``transform`` of a single-sample member is ``reference``, and gives for one sample exactly what it gives for
          it within a batch; that of a transductive member does not depend on the samples' order, but for rounding, and
          refuses fewer than ``LEAST_BATCH``;
        - a gene that is constant, in training, in the batch or in both, harms neither itself nor any other gene;
        - ``from_state(state())`` gives the same bits.

    Attributes:
        name: key in ``HARMONISERS``.
        transductive: which of the kinds it is.
    """

    name: ClassVar[str]
    transductive: ClassVar[bool]

    @classmethod
    @abstractmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        """Fit on the training rows, float32, finite, shape (n, genes) with n and genes at least 1, log2(TPM+1).

        A single-sample member reads them in pieces.
        """

    @abstractmethod
    def reference(self, x: Floats) -> Floats:
        """Training rows as the network is to see them.

        Args:
            x: rows that it was fitted on, or rows measured alike; float32, shape (n, genes), n may be 0.

        Returns:
            float32, shape (n, genes), in the unit that the member's own docstring names.
        """

    def transform(self, x: Floats) -> Floats:
        """Other samples as the network is to see them.

        Args:
            x: float32, shape (n, genes), log2(TPM+1). For a transductive member all of a cohort, and nothing else.

        Returns:
            As ``reference``.

        Raises:
            ValueError: the member is transductive and there are fewer than ``least_batch`` samples.
        """
        if len(x) < self.least_batch():
            raise ValueError(
                f"Expected at least {self.least_batch()} samples of one cohort for harmoniser {self.name}. "
                f"Received {len(x)}."
            )
        return self._transform(x)

    def _transform(self, x: Floats) -> Floats:
        """``transform`` of a batch that is large enough."""
        return self.reference(x)

    @classmethod
    def least_batch(cls) -> int:
        """How many samples ``transform`` needs: 0 or ``LEAST_BATCH``."""
        return LEAST_BATCH if cls.transductive else 0


def mean_ranks(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Ranks of values from 0 (lowest), shape (n,); values that tie share the mean of their ranks."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: npt.NDArray[np.float64] = np.cumsum(size) - (size + 1) / 2
    return mean_rank[group]
