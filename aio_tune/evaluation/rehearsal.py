"""Patients with known labels, made to look like another cohort whose labels are not to be looked at."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from aio_tune.expression import Floats
from aio_tune.harmonise.fsqn import Fsqn

GENES = 1000
"""Genes whose correlations are compared, drawn at random: half a million pairs."""
LEAST_COHERENCE = 0.05


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """A disguise that copies two things of the target, both without labels.

    How far genes have come apart: noise lowers every correlation between genes by one factor, so the same share of
    noise is added to each gene. And each gene's distribution, with its shift, its spread and its lost values: that of
    the target is given to the patients as they are ordered (`Fsqn`, the wrong way round). A network that reads a
    patient in this disguise is likely to read the target. Patients who really differ, such as more aggressive tumours,
    are taken for a platform here, as in every harmoniser that sees no labels.

    Attributes:
        coherence: correlations between genes in the target, in units of those in training, 0..1: root of the ratio of
            the mean squares, each less what n independent samples would show, 1 / (n - 1).
        mean: of each gene in training, shape (genes,).
        sd: standard deviation, likewise; 1 for a gene that is constant.
        distributions: of each gene in the target.
    """

    coherence: float
    mean: Floats
    sd: Floats
    distributions: Fsqn

    @classmethod
    def fit(cls, training: Floats, target: Floats, seed: int = 0) -> Self:
        """Learn the disguise.

        Args:
            training: log2(TPM+1), shape (n, genes).
            target: the same genes of the other cohort, at least ``LEAST_BATCH`` samples.
            seed: of the draw of genes.
        """
        genes = np.random.default_rng(seed).permutation(training.shape[1])[:GENES]
        here, there = _mean_square_correlation(training[:, genes]), _mean_square_correlation(target[:, genes])
        coherence = float(np.sqrt(max(there, 0.0) / here)) if here > 0 else 1.0
        sd = training.std(axis=0)
        return cls(
            coherence=min(max(coherence, LEAST_COHERENCE), 1.0),
            mean=training.mean(axis=0),
            sd=np.where(sd > 0, sd, np.float32(1.0)),
            distributions=Fsqn.fit(target),
        )

    def disguise(self, x: Floats, seed: int) -> Floats:
        """Patients of the training cohorts as the target's platform might have measured them.

        Args:
            x: log2(TPM+1), shape (n, genes), n at least ``LEAST_BATCH``.
            seed: of the noise.

        Returns:
            The same patients, same shape and unit.
        """
        noise = np.random.default_rng(seed).standard_normal(x.shape, dtype=np.float32)
        apart = np.sqrt(self.coherence) * (x - self.mean) / self.sd + np.sqrt(1 - self.coherence) * noise
        return self.distributions.transform(apart.astype(np.float32))


def _mean_square_correlation(x: Floats) -> float:
    """Mean square of Pearson's R over all pairs of genes that vary, less what chance alone would show."""
    centred = (x - x.mean(axis=0)).astype(np.float64)
    norm = np.sqrt((centred**2).sum(axis=0))
    centred = centred[:, norm > 0] / norm[norm > 0]
    genes = centred.shape[1]
    if genes < 2:
        return 0.0
    # The sum over all pairs, also of a gene with itself, from the smaller of the two Gram matrices.
    gram: npt.NDArray[np.float64] = centred @ centred.T if len(x) < genes else centred.T @ centred
    return float(((gram**2).sum() - genes) / (genes * (genes - 1))) - 1 / (len(x) - 1)
