"""How well calls agree with the truth: ROC curves, confusion matrix, calibration."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.figures.base import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]
"""False positive rates and true positive rates, each of shape (points,), 0..1."""
Floats = npt.NDArray[np.float64]


def roc_figure(curves: Mapping[str, Curve], title: str, band: Sequence[Curve] = ()) -> "Figure":
    """ROC curves in one plot, with the diagonal of chance.

    Args:
        curves: legend text (a class or a fold) -> (false positive rates, true positive rates).
        title: above the plot.
        band: curves of two or more folds, drawn as their mean ± 1 sd (ddof 1) and not one by one; fewer draw nothing.
    """
    figure = new_figure(5, 5)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for name, (false_positive, true_positive) in curves.items():
        axes.plot(false_positive, true_positive, label=name, linewidth=1.5)
    if len(band) > 1:
        rates, mean, sd = mean_roc(band)
        (line,) = axes.plot(rates, mean, label=f"mean ± sd of {len(band)} folds", linewidth=2)
        low, high = np.clip(mean - sd, 0, 1), np.clip(mean + sd, 0, 1)
        axes.fill_between(rates, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", title=title)
    axes.set(xlabel="False positive rate", ylabel="True positive rate")
    if curves or len(band) > 1:
        axes.legend(loc="lower right", frameon=False)
    return figure


def mean_roc(curves: Sequence[Curve], points: int = 101) -> tuple[Floats, Floats, Floats]:
    """Average ROC curves vertically: the mean true positive rate at each false positive rate.

    Source: Fawcett, Pattern Recogn Lett 27:861, 2006, "vertical averaging".

    Args:
        curves: two or more pairs of rates, each ascending from 0 to 1.
        points: false positive rates to average at, evenly spaced over 0..1.

    Returns:
        False positive rates, mean and standard deviation (ddof 1) of the true positive rates, each of shape (points,).
        At false positive rate 0 the true positive rate is that of the top of the curve's first, vertical step.

    Raises:
        ValueError: there are fewer than two curves.
    """
    if len(curves) < 2:
        raise ValueError(f"Expected two or more curves. Received {len(curves)}.")
    rates = np.linspace(0, 1, points)
    # np.interp answers with the last of points that share an abscissa, which is the top of a vertical step.
    heights = np.array([np.interp(rates, false_positive, true_positive) for false_positive, true_positive in curves])
    return rates, heights.mean(axis=0), heights.std(axis=0, ddof=1)


def confusion_figure(counts: npt.NDArray[np.integer], classes: Sequence[str], title: str) -> "Figure":
    """Confusion matrix with counts, coloured by the share of each true class.

    Args:
        counts: shape (classes, classes), [true, called].
        classes: class names, in the order of ``counts``.
        title: above the plot.

    Raises:
        ValueError: ``counts`` has another shape.
    """
    n = len(classes)
    if counts.shape != (n, n):
        raise ValueError(f"Expected counts of shape {(n, n)}. Received {counts.shape}.")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # a class nobody has is a row of zeros
    figure = new_figure(1.8 + n, 1.6 + n)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, called), count in np.ndenumerate(counts):
        colour = "white" if shares[true, called] > 0.5 else "black"
        axes.text(called, true, f"{count}\n{shares[true, called]:.0%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(n), classes)
    axes.set_yticks(range(n), classes)
    axes.set(xlabel="Called", ylabel="True", title=title)
    return figure


def calibration_figure(bins: Mapping[str, tuple[Floats, Floats, npt.NDArray[np.int64]]], title: str) -> "Figure":
    """How often what was called with some probability was true, with 95 % intervals.

    Args:
        bins: legend text (a class) -> mean probability, share that was true and number of samples of each bin, each of
            shape (bins,), as ``aio_tune.metrics.calibration_bins`` gives them.
        title: above the plot.

    The bars are Wilson's intervals for a share (J Am Stat Assoc 22:209, 1927).
    """
    figure = new_figure(5, 5)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for name, (mean, share, count) in bins.items():
        low, high = _wilson(share, count)
        axes.errorbar(mean, share, [share - low, high - share], marker="o", markersize=4, linewidth=1.2, capsize=2,
                      label=name)  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=title)
    axes.set(xlabel="Mean probability in the bin", ylabel="Share that was true")
    if bins:
        axes.legend(loc="upper left", frameon=False)
    return figure


def _wilson(share: Floats, count: npt.NDArray[np.int64], z: float = 1.96) -> tuple[Floats, Floats]:
    """Bounds of a binomial share; they always hold the share itself."""
    spread = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    middle, scale = share + z**2 / (2 * count), 1 + z**2 / count
    return np.minimum((middle - spread) / scale, share), np.maximum((middle + spread) / scale, share)
