"""Whether a probability of 0.8 is right eight times in ten."""

import numpy as np
import numpy.typing as npt


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
