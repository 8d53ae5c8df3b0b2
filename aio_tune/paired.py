"""Whether one configuration is better than another on the same folds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairedDifference:
    """How much a variant differs from a reference, fold by fold.

    Attributes:
        mean: of the differences, variant less reference.
        low: lower end of its 95 % interval; NaN of fewer than two pairs.
        high: upper end.
        p: of the two-sided test that there is none; 1 where all differences are 0.
        n: pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def paired_difference(
    variant: Sequence[float], reference: Sequence[float], folds: int, level: float = 0.95
) -> PairedDifference:
    """Compare two ways by their metric on the same folds of one split of the patients or several.

    The training rows of any two folds overlap, so their differences are not independent and the plain t-test finds far
    too much. Source of the corrected resampled t-test: Nadeau and Bengio, Mach Learn 52:239, 2003; for repeated
    cross-validation: Bouckaert and Frank, PAKDD 2004.

    Args:
        variant: metric on each fold of each split, length n.
        reference: the same of the other way, in the same order.
        folds: of one split, K: a K-th of the patients is for validation.
        level: coverage of the interval.

    Raises:
        ValueError: the lengths differ, there is no pair, or a value is not finite.
    """
    one, other = np.asarray(variant, np.float64), np.asarray(reference, np.float64)
    if one.shape != other.shape or one.ndim != 1 or not one.size or folds < 2:
        raise ValueError(f"Expected pairs over two or more folds. Received {one.shape}, {other.shape}, {folds} folds.")
    differences = one - other
    if not np.isfinite(differences).all():
        raise ValueError("Expected finite values. Received others.")
    n, mean = differences.size, float(differences.mean())
    if n < 2:
        return PairedDifference(mean, np.nan, np.nan, np.nan, n)
    error = float(np.sqrt((1 / n + 1 / (folds - 1)) * differences.var(ddof=1)))
    if error == 0:
        return PairedDifference(mean, mean, mean, 1.0 if mean == 0 else 0.0, n)
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, n - 1)) * error
    return PairedDifference(mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / error, n - 1)), n)
