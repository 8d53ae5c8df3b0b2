"""Integrated gradients (Sundararajan, Taly and Yan, ICML 2017; arXiv:1703.01365).

A pixel's attribution is its difference from the baseline times the mean gradient on the straight line from there to the
sample. Their sum is, in the limit of many steps, what the score changes from baseline to sample: completeness. How far
it is off says whether the steps were enough, so it is measured for every sample.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.attribution.backend import Floats, gradients
from aio_tune.evaluation.attribution.base import Attribution, Sight
from aio_tune.evaluation.attribution.scores import Score, batch_size, score_of, values_of

STEPS = 32
"""Points on the line at first."""
MOST_STEPS = 512
"""A network of ReLU has kinks on the line, so the error falls with one over the steps alone; this bounds the time."""
TOLERANCE = 0.01
"""Relative error of the sum above which a sample is done again with four times the steps."""


def integrated_gradients(
    sight: Sight,
    classes: Sequence[int],
    *,
    steps: int = STEPS,
    most_steps: int = MOST_STEPS,
    tolerance: float = TOLERANCE,
) -> Attribution:
    """Integrated gradients of the log-odds; see ``base.Attribute``.

    Args:
        sight: network and samples.
        classes: indices of classes.
        steps: points on the line for every sample, at the middles of equal parts; at least 1.
        most_steps: samples whose sum is off by more than ``tolerance`` are done again with four times as many, and so
            on up to this many.
        tolerance: relative.

    Returns:
        Pixels in units of log-odds, and the completeness error that is left.
    """
    score = score_of(sight.model)
    change = _change(score, sight, classes)
    pixels = np.zeros((len(classes), *sight.pictures.shape), np.float32)
    error = np.zeros(change.shape)
    rows = np.arange(len(sight.pictures))
    while rows.size:
        start, path = sight.baseline[rows], sight.pictures[rows] - sight.baseline[rows]
        pixels[:, rows] = path * _mean_gradients(score, start, path, classes, steps)
        error[:, rows] = completeness(pixels[:, rows], change[:, rows])
        rows = rows[(error[:, rows] > tolerance).any(axis=0)] if 4 * steps <= most_steps else rows[:0]
        steps *= 4
    return Attribution(pixels, error)


def completeness(pixels: Floats, change: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Relative error of the sums of attributions, 0 is exact, infinite where there is a sum and no change.

    Args:
        pixels: shape (n_classes, n, *shape).
        change: of the score from baseline to sample, shape (n_classes, n).
    """
    off = np.abs(pixels.reshape(*change.shape, -1).sum(axis=2, dtype=np.float64) - change)
    return np.divide(off, np.abs(change), out=np.where(off > 0, np.inf, 0.0), where=change != 0)


def _change(score: Score, sight: Sight, classes: Sequence[int]) -> npt.NDArray[np.float64]:
    there, here = (values_of(score, x).astype(np.float64) for x in (sight.baseline, sight.pictures))
    return (here - there)[:, list(classes)].T


def _mean_gradients(score: Score, start: Floats, path: Floats, classes: Sequence[int], steps: int) -> Floats:
    """Mean over the points of each line, shape (len(classes), n, *shape); points of several lines share a batch."""
    total = np.zeros((len(classes), *start.shape), np.float32)
    size = batch_size(start.shape[1:])
    for first in range(0, len(start) * steps, size):
        sample, step = np.divmod(np.arange(first, min(first + size, len(start) * steps)), steps)
        share = ((step + 0.5) / steps).astype(np.float32).reshape(-1, *[1] * (start.ndim - 1))
        _, found = gradients(score, start[sample] + share * path[sample], classes)
        begins = np.flatnonzero(np.diff(sample, prepend=-1))
        total[:, sample[begins]] += np.add.reduceat(found, begins, axis=1)
    return np.asarray(total / steps, np.float32)
