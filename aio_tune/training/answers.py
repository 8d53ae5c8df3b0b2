"""Labels as a network learns them, and how far its answers are from them."""

import numpy as np
import numpy.typing as npt


def class_weights(labels: npt.NDArray[np.integer], n_classes: int, kind: str) -> npt.NDArray[np.float32]:
    """A weight for each row, mean 1: all 1, or ``balanced``, n / (n_classes * class count) as in scikit-learn."""
    if kind == "none":
        return np.ones(len(labels), dtype=np.float32)
    counts = np.bincount(labels, minlength=n_classes)
    return (len(labels) / (n_classes * counts))[labels].astype(np.float32)


def smoothed(targets: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    """Targets, shape (n, n_classes), of which a share, below 1, is spread over all classes.

    As of ``keras.losses.CategoricalCrossentropy(label_smoothing=share)``, to whose loss the share is a constant.
    Source: Szegedy et al., CVPR 2016, section 7.
    """
    n_classes = targets.shape[1]
    return targets * np.float32(1 - share) + np.float32(share) / np.float32(n_classes)


def masked(codes: npt.NDArray[np.integer], n_classes: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """One-hot targets, shape (n, n_classes), and weights, shape (n,): mean 1, and 0 where the label is missing."""
    known = (codes >= 0).astype(np.float32)
    return np.eye(n_classes, dtype=np.float32)[np.maximum(codes, 0)], known / max(float(known.mean()), 1e-9)


def cross_entropy(labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.float32]) -> float:
    """Mean negative log-probability of the true class, natural logarithm."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, 1e-7, 1.0)).mean())
