"""How far cohorts are from one another, before harmonising and after: plain data, for ``describe`` and for figures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import EvaluationError
from aio_tune.expression import Floats
from aio_tune.harmonise import HARMONISERS

LEAST_SPREAD = 1e-3
"""Standard deviation of gene means, over the genes, below which there is nothing to correlate: z-scores have mean 0."""


@dataclass(frozen=True, eq=False)
class Shift:
    """How two or more cohorts lie to one another.

    Attributes:
        correlation: "A to B", for each pair in the order given -> Pearson R of the genes' mean expression, -1..1. It
            is about 1 by construction after ``fsqn`` and ``combat``, and undefined (NaN) after ``cohort_zscore``.
        coordinates: of every sample on the first two principal components of all samples together, float64, shape
            (n, 2), cohort after cohort. Signs are arbitrary, but the same for the same values.
        explained: share of the whole variance on each of the two, 0..1.
        cohort_of: cohort of every sample, shape (n,).
        cohort_share: share of the variance on the two that lies between the cohorts' centres, 0 (centres coincide) to
            1 (cohorts are points); lower means more alike. NaN where all samples are the same. Patients who differ
            show here as a platform does.
    """

    correlation: dict[str, float]
    coordinates: npt.NDArray[np.float64]
    explained: tuple[float, float]
    cohort_of: npt.NDArray[np.str_]
    cohort_share: float

    def as_dict(self) -> dict[str, Any]:
        """The figures in JSON values, undefined ones as None; without the samples' own rows."""
        return {
            "correlation": {pair: _json_value(r) for pair, r in self.correlation.items()},
            "explained": [_json_value(share) for share in self.explained],
            "cohort_share": _json_value(self.cohort_share),
        }


def measure_shift(cohorts: Mapping[str, Floats], seed: int = 0) -> Shift:
    """Measure the shift between cohorts.

    Args:
        cohorts: name -> expression, float32, shape (n, genes), log2(TPM+1) or harmonised; the same genes in all.
        seed: of the randomised principal components (Halko, Martinsson & Tropp, SIAM Rev 53:217, 2011).

    Raises:
        ValueError: there is no sample in a cohort, fewer than three in all, fewer than two genes, or their number
            differs.
    """
    from sklearn.decomposition import PCA

    genes = {x.shape[1] for x in cohorts.values()}
    n = sum(len(x) for x in cohorts.values())
    if len(genes) != 1 or min(genes) < 2 or n < 3 or any(len(x) == 0 for x in cohorts.values()):
        shapes = ", ".join(f"{name} {x.shape}" for name, x in cohorts.items())
        raise ValueError(f"Expected cohorts of the same two or more genes, three samples in all. Received {shapes}.")
    together = np.concatenate(list(cohorts.values()))
    cohort_of = np.repeat(list(cohorts), [len(x) for x in cohorts.values()])
    if np.ptp(together, axis=0).max() == 0:  # no component to be found, and scikit-learn would divide by 0
        coordinates, explained = np.zeros((n, 2)), (math.nan, math.nan)
    else:
        pca = PCA(2, svd_solver="randomized", iterated_power=20, random_state=seed)
        coordinates = pca.fit_transform(together).astype(np.float64)
        explained = (float(pca.explained_variance_ratio_[0]), float(pca.explained_variance_ratio_[1]))
    return Shift(mean_correlation(cohorts), coordinates, explained, cohort_of, cohort_share(coordinates, cohort_of))


def harmonised(cohorts: Mapping[str, Floats], harmoniser: str, reference: str) -> dict[str, Floats]:
    """The cohorts as a model trained on one of them would see them.

    Args:
        cohorts: as for ``measure_shift``, log2(TPM+1).
        harmoniser: name in ``HARMONISERS``.
        reference: name of the cohort that it is fitted on; each of the others is a target.

    Raises:
        EvaluationError: harmoniser or cohort are unknown, or a target has too few samples for the harmoniser.
    """
    if harmoniser not in HARMONISERS:
        raise EvaluationError(f"Expected a harmoniser, one of {', '.join(HARMONISERS)}. Received {harmoniser!r}.")
    if reference not in cohorts:
        raise EvaluationError(f"Expected one of the cohorts {', '.join(cohorts)}. Received {reference!r}.")
    fitted = HARMONISERS[harmoniser].fit(cohorts[reference])
    few = [name for name, x in cohorts.items() if name != reference and len(x) < fitted.least_batch()]
    if few:
        raise EvaluationError(
            f"Expected at least {fitted.least_batch()} samples of every cohort for harmoniser {harmoniser}. "
            f"Received {len(cohorts[few[0]])} of {few[0]}."
        )
    return {name: fitted.reference(x) if name == reference else fitted.transform(x) for name, x in cohorts.items()}


def mean_correlation(cohorts: Mapping[str, Floats]) -> dict[str, float]:
    """``Shift.correlation`` alone: it needs one cohort's expression at a time, where the mapping reads it late."""
    means = {name: cohorts[name].mean(axis=0, dtype=np.float64) for name in cohorts}
    return {f"{a} to {b}": _pearson(means[a], means[b]) for a, b in combinations(means, 2)}


def cohort_share(coordinates: npt.NDArray[np.floating], cohort_of: npt.NDArray[np.str_]) -> float:
    """``Shift.cohort_share`` of samples at ``coordinates``, shape (n, components): eta squared, over all components."""
    names, group = np.unique(cohort_of, return_inverse=True)
    centred = coordinates - coordinates.mean(axis=0)
    total = float((centred**2).sum())
    if total == 0:
        return math.nan
    centres = np.stack([centred[group == i].mean(axis=0) for i in range(len(names))])
    return min(float((centres[group] ** 2).sum()) / total, 1.0)


def prevalence(labels: Mapping[str, npt.NDArray[np.integer]], classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Share of each class among the labelled samples of each cohort.

    Where it differs between training and target, calibration suffers, and a transductive harmoniser takes part of
    that difference for one of measurement.

    Args:
        labels: cohort -> class indices, below 0 where there is no label, shape (n,).
        classes: class names.

    Returns:
        cohort -> class -> share, 0..1; NaN in a cohort without a label.
    """
    counts = {name: np.bincount(codes[codes >= 0], minlength=len(classes)) for name, codes in labels.items()}
    return {
        name: {label: float(count[i] / count.sum()) if count.sum() else math.nan for i, label in enumerate(classes)}
        for name, count in counts.items()
    }


def _pearson(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    if min(a.std(), b.std()) < LEAST_SPREAD:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _json_value(value: float) -> float | None:
    return None if math.isnan(value) else value
