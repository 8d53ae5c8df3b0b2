"""What a sample has in common with the training rows."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from aio_tune.expression import Floats, Matrix, Rows, as_rows, mean_and_sd
from aio_tune.harmonise.base import Harmoniser

COMPONENTS = 64
"""Largest number of components kept; those after it would be shrunk to almost nothing."""
NOISE = 10.0
"""Noise to be expected in a gene, in units of its variance in training. Large on purpose: what another platform does
to a single gene is as large as what biology does. 3, 10 and 30 were tried on simulated FFPE-like cohorts; see
``docs/evaluation.md``."""
CLIP = 1.0
"""Limit of z-scores, in standard deviations, before anything is estimated: a gene that another platform lost, or shifts
as a whole, has the say of one gene and not more. 1 and 2 were tried."""
SD_FLOOR = 0.05
"""Smallest standard deviation divided by, log2 units: hardly expressed genes must not be blown up to signal."""
UNIT = 0.05
"""What one standard deviation of a gene is written as. Scaling ``zscore`` takes no standard deviation below 0.05 for
one to divide by, so it leaves all genes as they are to one another. In larger units it would blow each up to the same
size again, and so undo the shrinking: networks then lost a third of what this harmoniser won back."""
_ROUNDS = 6
_SPARE = 10  # directions carried along, so that the last ones kept are exact as well


@dataclass(frozen=True, eq=False)
class Denoise(Harmoniser):
    """Estimates of every gene what all genes of the sample together say of it; z-scores x ``UNIT``.

    Genes go up and down together. The z-scores of a sample (mean and sd of the training rows), clipped to ±``CLIP``,
    are written in the principal components of the training rows, and component i is shrunk by e / (e + ``NOISE``), with
    e its variance: the Wiener filter, the best linear estimate of a sample from one with so much noise added to each
    gene by itself. A platform that shifts, flattens or loses single genes changes thousands of values at random, and
    such changes cancel in the components with many genes, while proliferation or ER activity, which moves hundreds of
    genes together, stays. What is true of one gene alone is lost.

    Source: Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949; as a linear denoiser
    between domains: Chen, Xu, Weinberger & Sha, ICML 2012. Components by subspace iteration (Halko, Martinsson & Tropp,
    SIAM Rev 53:217, 2011), which reads the rows in pieces.

    Attributes:
        mean: of each gene in training, float32, shape (genes,), log2(TPM+1).
        sd: standard deviation (ddof 0), at least ``SD_FLOOR``, likewise.
        components: orthonormal rows, float32, shape (k, genes), k at most ``COMPONENTS``; 0 where a gene was constant.
        shares: of each component that is kept, 0..1, float32, shape (k,).
    """

    name: ClassVar[str] = "denoise"
    transductive: ClassVar[bool] = False
    mean: Floats
    sd: Floats
    components: Floats
    shares: Floats

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        rows = as_rows(x_train)
        mean, sd = (values.astype(np.float32) for values in mean_and_sd(rows))
        sd = np.maximum(sd, SD_FLOOR)
        n_genes = len(mean)
        width = min(COMPONENTS + _SPARE, n_genes)
        basis = np.random.default_rng(0).standard_normal((n_genes, width)).astype(np.float32)
        for _ in range(_ROUNDS):
            basis = np.linalg.qr(basis)[0]
            product = np.zeros_like(basis)
            for piece in rows.pieces():
                z = _scores(piece, mean, sd)
                product += z.T @ (z @ basis)
            # In the last round the basis is kept beside its product, for the variances along it.
            before, basis = basis, product
        variances, turn = np.linalg.eigh((before.T @ basis / len(rows)).astype(np.float64))
        order = np.argsort(variances)[::-1][: min(COMPONENTS, n_genes)]
        found = np.maximum(variances[order], 0.0)
        components = np.where(found[:, np.newaxis] > 0, (before @ turn[:, order].astype(np.float32)).T, 0.0)
        # A gene that was constant in training has no part in any component, not even by rounding.
        components[:, product.any(axis=1) == 0] = 0.0
        return cls(mean, sd, components.astype(np.float32), (found / (found + NOISE)).astype(np.float32))

    def reference(self, x: Floats) -> Floats:
        estimated = np.empty(x.shape, dtype=np.float32)
        # Row by row: a product of matrices sums in an order that depends on how many rows there are.
        for row, values in enumerate(x):
            scores = self.components @ _scores(values, self.mean, self.sd)
            estimated[row] = UNIT * ((self.shares * scores) @ self.components)
        return estimated


def _scores(x: Floats, mean: Floats, sd: Floats) -> Floats:
    return np.clip((x - mean) / sd, -CLIP, CLIP)
