"""ComBat with the training rows as the reference batch."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from aio_tune.expression import Floats, Matrix, Rows, as_rows, low_and_high, mean_and_sd
from aio_tune.harmonise.base import Harmoniser

Doubles = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""The estimates are final when none changes by more than this: shifts in standard deviations, spreads relatively."""
ROUNDS = 1000
"""At most this many rounds; a handful is usual."""


@dataclass(frozen=True, eq=False)
class Combat(Harmoniser):
    """Takes each gene's shift and spread of the target cohort away, both shrunk towards those of all genes; log2 units.

    Parametric empirical Bayes: in units of the gene's training sd, the shift of gene g in the target is normal with
    mean gamma_g and variance delta_g; over the genes gamma is normal and delta inverse gamma, and both priors are
    estimated by moments. Genes borrow strength from one another, which matters for target cohorts of tens of samples.
    As first published, ComBat moves every batch towards their common mean, so a new cohort would change the training
    rows too, and every model with them. Here the training rows are the *reference batch* of its later form: they stay,
    and the target is moved to them. There are no covariates, since the target's labels are never used.

    A gene that is constant in training or in the target is left as it is and does not count for the priors. Genes that
    hardly vary in training do count: many of them widen the priors, and little is left to borrow.

    Written from the papers, since inmoose, which has it, is under GPL-3 and this package is not. The moments of the
    priors have ddof 1, as in the authors' own code; inmoose 0.9 takes ddof 0.

    Source: Johnson, Li & Rabinovic, Biostatistics 8:118, 2007; reference batch: Zhang, Jenkins, Manimaran & Johnson,
    BMC Bioinformatics 19:262, 2018.

    Attributes:
        mean: of each gene in training, float64, shape (genes,), log2(TPM+1).
        sd: standard deviation (ddof 0), 0 for a constant gene, likewise.
    """

    name: ClassVar[str] = "combat"
    transductive: ClassVar[bool] = True
    mean: Doubles
    sd: Doubles

    @classmethod
    def fit(cls, x_train: Matrix | Rows) -> Self:
        rows = as_rows(x_train)
        mean, sd = mean_and_sd(rows)
        low, high = low_and_high(rows)
        # Of equal values the computed sd is not always 0, hence the comparison.
        return cls(mean, np.where(high > low, sd, 0.0))

    def reference(self, x: Floats) -> Floats:
        return x

    def _transform(self, x: Floats) -> Floats:
        adjusted = x.copy()
        genes = np.flatnonzero((self.sd > 0) & _varies(x))
        if genes.size == 0:
            return adjusted
        mean, sd = self.mean[genes], self.sd[genes]
        scores = (x[:, genes] - mean) / sd
        shift, spread = _estimate(scores)
        adjusted[:, genes] = (scores - shift) / np.sqrt(spread) * sd + mean
        return adjusted


def _varies(x: Floats) -> npt.NDArray[np.bool_]:
    """Whether each gene has two different values, shape (genes,)."""
    return x.max(axis=0, initial=-np.inf) > x.min(axis=0, initial=np.inf)


def _estimate(scores: Doubles) -> tuple[Doubles, Doubles]:
    """Shift gamma* and variance delta* of each gene in the target, shrunk towards all genes'.

    The conditional posterior means of Johnson et al., each given the other, taken in turn until they rest. A single
    gene has nobody to borrow from, and keeps its own mean and variance.

    Args:
        scores: of the target, shape (n, genes), in standard deviations of the training rows; no gene is constant.
    """
    n, n_genes = scores.shape
    own_shift, own_spread = scores.mean(axis=0), scores.var(axis=0, ddof=1)
    if n_genes == 1:
        return own_shift, own_spread
    prior_shift, prior_var = own_shift.mean(), own_shift.var(ddof=1)
    m, s2 = own_spread.mean(), own_spread.var(ddof=1)
    if s2 == 0:  # all genes spread alike: the prior is a point
        spread = np.full(n_genes, m)
        return _shift(own_shift, spread, n, prior_shift, prior_var), spread
    shape, rate = 2 + m**2 / s2, m + m**3 / s2
    shift, spread = own_shift, own_spread
    for _ in range(ROUNDS):
        new_shift = _shift(own_shift, spread, n, prior_shift, prior_var)
        # Sum over the samples of (score - new_shift)^2, by the shift of a sum of squares.
        squares = (n - 1) * own_spread + n * (own_shift - new_shift) ** 2
        new_spread = (squares / 2 + rate) / (n / 2 + shape - 1)
        change = max(np.abs(new_shift - shift).max(), np.abs(new_spread / spread - 1).max())
        shift, spread = new_shift, new_spread
        if change < TOLERANCE:
            break
    return shift, spread


def _shift(own: Doubles, spread: Doubles, n: int, prior: float, prior_var: float) -> Doubles:
    return (n * prior_var * own + spread * prior) / (n * prior_var + spread)
