"""Harmonisers: what makes samples of another cohort or platform comparable with the training rows.

    base            Harmoniser, the contract
    unchanged       none            single-sample   nothing is done
    rank            rank            single-sample   ranks within the sample
    quantile        quantile        single-sample   the sample gets the training samples' mean distribution
    denoise         denoise         single-sample   what a sample has in common with the training rows
    fsqn            fsqn            transductive    each gene gets, over the cohort, its training distribution
    cohort_zscore   cohort_zscore   transductive    each gene is scored within its own cohort
    combat          combat          transductive    each gene's shift and spread are taken away, shrunk over the genes
    shift           how far cohorts are from one another, before and after

Which rows are what:
    training    A fold's harmoniser is fitted on its training rows, *before* scaling and layout. They are one reference,
                also where they are of several cohorts, and the network sees ``reference`` of them.
    validation  Inside the training cohorts, ``transform`` of the fold's validation rows: to a transductive member they
                are one batch, as if they were a new cohort. Folds are stratified, so that batch has the training rows'
                mix of patients, which a real cohort need not have: cross-validation shows what a harmoniser costs, not
                what it does between platforms. The same holds for an outer fold of nested cross-validation.
    external    ``transform`` of the cohort: to a transductive member *all* its samples are one batch, those without a
                label too. Labels are never used, not even whether there is one.
    prediction  As external: all samples of the call are one batch. A transductive member refuses fewer than
                ``LEAST_BATCH``, and so every single patient.

A new harmoniser is one file and one line in ``HARMONISERS``. Importing this package imports NumPy alone: it travels
inside registered models. (``shift`` is for people, and is not imported here.)
"""

from aio_tune.harmonise.base import LEAST_BATCH, Harmoniser, mean_ranks
from aio_tune.harmonise.cohort_zscore import CohortZScore
from aio_tune.harmonise.combat import Combat
from aio_tune.harmonise.denoise import Denoise
from aio_tune.harmonise.fsqn import Fsqn
from aio_tune.harmonise.quantile import Quantile
from aio_tune.harmonise.rank import WithinSampleRank
from aio_tune.harmonise.unchanged import Unchanged

HARMONISERS: dict[str, type[Harmoniser]] = {
    harmoniser.name: harmoniser
    for harmoniser in (Unchanged, WithinSampleRank, Quantile, Denoise, Fsqn, CohortZScore, Combat)
}

SINGLE_SAMPLE: tuple[str, ...] = tuple(name for name, harmoniser in HARMONISERS.items() if not harmoniser.transductive)
"""Names of the members that can be applied to one new patient."""

__all__ = ["HARMONISERS", "LEAST_BATCH", "SINGLE_SAMPLE", "Harmoniser", "Unchanged", "mean_ranks"]
