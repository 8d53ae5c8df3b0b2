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
"""Equal parts of the line at first, each with its gradient in the middle."""
PARTS = 4
"""Into how many a part is divided whose gradient does not account for what the score changes on it."""
MOST_POINTS = 1024
"""Gradients of one sample, at most: a convolutional network of ReLU can have kinks everywhere on the line, and then
takes 32 + 128 + 512. Four times as many took ten samples of a real network from two minutes to over ten."""
TOLERANCE = 0.008
"""Relative error of the sum at which a line is taken as it is; a little less than the one per cent asked for."""

Doubles = npt.NDArray[np.float64]


def integrated_gradients(
    sight: Sight,
    classes: Sequence[int],
    *,
    steps: int = STEPS,
    most_points: int = MOST_POINTS,
    tolerance: float = TOLERANCE,
) -> Attribution:
    """Integrated gradients of the log-odds; see ``base.Attribute``.

    On every part of the line, too, the gradients' integral is what the score changes there. So it is known where a
    network of ReLU has its kinks, and only those parts are divided further.

    Args:
        sight: network and samples.
        classes: indices of classes.
        steps: parts of the line at first; at least 1.
        most_points: gradients for one sample, at most.
        tolerance: relative error of a sample's sum above which parts are divided.

    Returns:
        Pixels in units of log-odds, and the completeness error that is left.
    """
    score = score_of(sight.model)
    change = _change(score, sight, classes)
    pixels = np.zeros((len(classes), *sight.pictures.shape), np.float32)
    for i, (start, end) in enumerate(zip(sight.baseline, sight.pictures, strict=True)):
        line = _Line(score, start, end - start, classes)
        pixels[:, i] = line.integrate(steps, most_points, tolerance * np.abs(change[:, i]))
    return Attribution(pixels, completeness(pixels, change))


class _Line:
    """The straight line from the baseline to one sample."""

    def __init__(self, score: Score, start: Floats, path: Floats, classes: Sequence[int]) -> None:
        self._score, self._start, self._path, self._classes = score, start, path, list(classes)

    def integrate(self, steps: int, most_points: int, allowed: Doubles) -> Floats:
        """The path times the mean gradient on it, shape (n_classes, *shape); ``allowed`` error of the sum by class."""
        total = np.zeros((len(self._classes), *self._path.shape), np.float64)
        settled = np.zeros(len(self._classes))
        left, width, points = np.arange(steps) / steps, 1 / steps, 0
        each = allowed[:, np.newaxis] / (4 * steps)
        while left.size:
            off, good, rest = self._parts(left, width, each, total)
            points += left.size
            bad = ~(np.abs(off) <= each).all(axis=0)
            enough = (np.abs(settled + off.sum(axis=1)) <= allowed).all() or points + PARTS * bad.sum() > most_points
            total = good + rest if enough else good
            settled += off[:, ~bad].sum(axis=1)
            left = np.array([]) if enough else (left[bad, np.newaxis] + np.arange(PARTS) * width / PARTS).ravel()
            width /= PARTS
        return total.astype(np.float32)

    def _parts(self, left: Doubles, width: float, each: Doubles, total: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        """Parts of the line, each with the gradient in its middle.

        Returns:
            What the score changes on each part less what its gradient says, shape (n_classes, parts); ``total`` and the
            parts that are off by no more than ``each``; and the other parts.
        """
        good, rest = total.copy(), np.zeros_like(total)
        off = np.empty((len(self._classes), left.size))
        size = batch_size(self._path.shape)
        for first in range(0, left.size, size):
            here = left[first : first + size]
            rise = self._values(here + width) - self._values(here)
            _, found = gradients(self._score, self._at(here + width / 2), self._classes)
            found *= self._path * np.float32(width)
            off[:, first : first + size] = rise - found.reshape(*found.shape[:2], -1).sum(axis=2, dtype=np.float64)
            accepted = (np.abs(off[:, first : first + size]) <= each).all(axis=0)
            good += found[:, accepted].sum(axis=1, dtype=np.float64)
            rest += found[:, ~accepted].sum(axis=1, dtype=np.float64)
        return off, good, rest

    def _at(self, shares: Doubles) -> Floats:
        return self._start + shares.astype(np.float32).reshape(-1, *[1] * self._path.ndim) * self._path

    def _values(self, shares: Doubles) -> Doubles:
        return values_of(self._score, self._at(shares)).astype(np.float64)[:, self._classes].T


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
