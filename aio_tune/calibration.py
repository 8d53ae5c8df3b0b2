"""Whether a probability of 0.8 is right eight times in ten; what to do if not; and when it is better not to call.

Everything that is fitted here is fitted on out-of-fold calls, of patients that the calling network had not seen.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NO_CALL = -1
"""In place of a class index where there is no call."""
ERRORS = (0.05, 0.1, 0.2)
"""Shares of wrong sets for which thresholds are kept."""
MOST = 20.0
"""Temperatures are within 1 / MOST and MOST."""


@dataclass(frozen=True)
class Calibration:
    """How to make probabilities honest, and how sure is sure enough.

    Attributes:
        temperature: above 1 where the networks were too sure; see ``calibrate``.
        thresholds: tolerated share of sets without the true class -> least calibrated probability that puts a class
            into a sample's set. Split conformal prediction with the score 1 - p of the true class (Sadinle et al.,
            J Am Stat Assoc 114:223, 2019). The score is out of fold, so the guarantee is that of cross-conformal
            prediction (Vovk, Ann Math Artif Intell 74:9, 2015): in practice the tolerated share, for patients of the
            same kind alone. On a shifted cohort it has to be looked at, not relied on.
        n: samples that it was fitted on.
    """

    temperature: float
    thresholds: Mapping[float, float]
    n: int

    def calibrate(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Probabilities, shape (n, n_classes), each to the power 1 / temperature, and again summing to 1."""
        logs = _logs(probabilities) / self.temperature
        return _softmax(logs)

    def in_set(self, probabilities: npt.NDArray[np.floating], error: float) -> npt.NDArray[np.bool_]:
        """Which classes cannot be ruled out, shape (n, n_classes); ``error`` is a key of ``thresholds``."""
        return self.calibrate(probabilities) >= self.thresholds[error]

    def decide(self, probabilities: npt.NDArray[np.floating], error: float) -> npt.NDArray[np.intp]:
        """The class index of each sample whose set holds one class alone, else ``NO_CALL``; shape (n,)."""
        inside = self.in_set(probabilities, error)
        return np.where(inside.sum(axis=1) == 1, inside.argmax(axis=1), NO_CALL)


def fit_calibration(truth: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]) -> Calibration:
    """Temperature by maximum likelihood (Guo et al., ICML 2017), and conformal thresholds on what it gives.

    Args:
        truth: class indices, shape (n,), n > 0.
        probabilities: out of fold, shape (n, n_classes), rows summing to 1.

    Raises:
        ValueError: the shapes do not fit.
    """
    if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1] or not truth.size:
        raise ValueError(
            f"Expected one row of probabilities per sample. Received {truth.shape}, {probabilities.shape}."
        )
    from scipy.optimize import minimize_scalar

    logs, rows = _logs(probabilities), np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return -float(np.log(_softmax(logs / math.exp(log_temperature))[rows, truth]).mean())

    bound = math.log(MOST)
    temperature = math.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x)
    of_truth = np.sort(_softmax(logs / temperature)[rows, truth])
    # The error-quantile with the finite-sample correction; with too few samples every class is in every set.
    ranks = {error: math.floor(error * (len(truth) + 1)) for error in ERRORS}
    thresholds = {error: float(of_truth[rank - 1]) if rank else 0.0 for error, rank in ranks.items()}
    return Calibration(temperature, thresholds, len(truth))


def brier(truth: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]) -> float:
    """Brier's score (Mon Weather Rev 78:1, 1950): mean squared error of the probabilities, lower is better.

    Args:
        truth: class indices, shape (n,).
        probabilities: shape (n, n_classes), rows summing to 1.

    Returns:
        For two classes 0..1, the error of the second class's probability; for more 0..2, summed over the classes; as
        scikit-learn's ``brier_score_loss``.
    """
    n_classes = probabilities.shape[1]
    errors = ((probabilities - np.eye(n_classes)[truth]) ** 2).sum(axis=1)
    return float(errors.mean()) / (2 if n_classes == 2 else 1)


def _logs(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Logarithms, of nothing less than the smallest float32: a network that is too sure gives an exact 0."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))


def _softmax(logs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def calibration_bins(
    truth: npt.NDArray[np.integer], probability: npt.NDArray[np.floating], bins: int = 10
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The points of a calibration curve, over bins of equal width; bins without a sample are left out.

    Args:
        truth: 1 for samples of the class, 0 for the rest, shape (n,).
        probability: of the class, 0..1, shape (n,).
        bins: that 0..1 is cut into; each holds its upper bound.

    Returns:
        Mean probability, share of samples of the class, and number of samples; each of shape (bins with samples,).

    Raises:
        ValueError: the shapes differ or a probability is not one.
    """
    if truth.shape != probability.shape or truth.ndim != 1:
        raise ValueError(f"Expected one probability per sample. Received {truth.shape} and {probability.shape}.")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("Expected probabilities of 0 to 1. Received others.")
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], probability, side="left")
    count = np.bincount(place, minlength=bins)
    used = count > 0
    mean = np.bincount(place, probability, bins)[used] / count[used]
    share = np.bincount(place, truth, bins)[used] / count[used]
    return mean, share, count[used].astype(np.int64)
