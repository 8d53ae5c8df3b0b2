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
AT_ONCE = 16
"""Parts that are divided before the sum is looked at again."""
MOST_POINTS = 1024
"""Gradients of one sample, at most: a convolutional network of ReLU can have kinks everywhere on the line."""
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
    network of ReLU has its kinks, and those parts are divided further that are off by most.

    Args:
        sight: network and samples.
        classes: indices of classes.
        steps: parts of the line at first; at least 1.
        most_points: gradients for one sample, at most; ``steps`` in any case.
        tolerance: relative error of a sample's sum above which parts are divided.

    Returns:
        Pixels in units of log-odds, and the completeness error that is left.
    """
    score = score_of(sight.model)
    change = _change(score, sight, classes)
    pixels = np.zeros((len(classes), *sight.pictures.shape), np.float32)
    for i, (start, end) in enumerate(zip(sight.baseline, sight.pictures, strict=True)):
        line = _Line(score, start, end - start, classes, steps=steps, room=max(steps, most_points))
        pixels[:, i] = line.integrate(tolerance * np.abs(change[:, i]))
    return Attribution(pixels, completeness(pixels, change))


class _Line:
    """The straight line from the baseline to one sample, in parts, each with the gradient in its middle."""

    def __init__(
        self, score: Score, start: Floats, path: Floats, classes: Sequence[int], *, steps: int, room: int
    ) -> None:
        self._score, self._start, self._path, self._classes = score, start, path, list(classes)
        self._left, self._width = np.empty(0), np.empty(0)
        self._first, self._last, self._slope = (np.empty((len(classes), 0)) for _ in range(3))
        # Gradient times path, by class and part. Memory that is never written to is never taken.
        self._found = np.empty((len(classes), room, *path.shape), np.float32)
        edges = np.arange(steps + 1) / steps
        values = self._values(edges)
        self._add(edges[:-1], np.full(steps, 1 / steps), values[:, :-1], values[:, 1:])

    def integrate(self, allowed: Doubles) -> Floats:
        """The path times the mean gradient on it, shape (n_classes, *shape); ``allowed`` error of the sum by class."""
        while (np.abs(self._off().sum(axis=1)) > allowed).any():
            n = min(AT_ONCE, (self._found.shape[1] - self._left.size) // 2)
            if n == 0:
                break
            self._divide(np.argsort(-self._urgency(allowed), kind="stable")[:n])
        found = self._found[:, : self._left.size]
        return np.einsum("n,cn...->c...", self._width, found, dtype=np.float64).astype(np.float32)

    def _off(self) -> Doubles:
        """What the score changes on each part less what its gradient says, shape (n_classes, parts)."""
        return self._last - self._first - self._width * self._slope

    def _urgency(self, allowed: Doubles) -> Doubles:
        return (np.abs(self._off()) / np.maximum(allowed, np.finfo(float).tiny)[:, np.newaxis]).max(axis=0)

    def _divide(self, parts: npt.NDArray[np.intp]) -> None:
        """Divides these parts into thirds: the middle one has the gradient that was the whole part's."""
        start, width = self._left[parts], self._width[parts] / 3
        first, last = self._first[:, parts], self._last[:, parts]
        left, right = start + width, start + 2 * width
        begin, end = np.split(self._values(np.concatenate([left, right])), 2, axis=1)
        self._left[parts], self._width[parts] = left, width
        self._first[:, parts], self._last[:, parts] = begin, end
        self._add(np.concatenate([start, right]), np.tile(width, 2), np.hstack([first, end]), np.hstack([begin, last]))

    def _add(self, left: Doubles, width: Doubles, first: Doubles, last: Doubles) -> None:
        """New parts with the scores at their ends, ``first`` and ``last`` (n_classes, parts); finds their gradients."""
        size, done = batch_size(self._path.shape), self._left.size
        for i in range(0, left.size, size):
            middles = (left + width / 2)[i : i + size]
            _, found = gradients(self._score, self._at(middles), self._classes)
            self._found[:, done + i : done + i + middles.size] = found * self._path
        new = self._found[:, done : done + left.size]
        slope = new.reshape(*new.shape[:2], -1).sum(axis=2, dtype=np.float64)
        self._left, self._width = np.concatenate([self._left, left]), np.concatenate([self._width, width])
        self._first, self._last = np.hstack([self._first, first]), np.hstack([self._last, last])
        self._slope = np.hstack([self._slope, slope])

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
