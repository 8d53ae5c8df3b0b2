"""Figures, as matplotlib ``Figure`` objects: no pyplot, so no global state and no display; any thread may draw.

matplotlib is imported late, since it takes half a second and most commands draw nothing.
"""

from collections.abc import Mapping, Sequence
from math import ceil, isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]
"""False positive rates and true positive rates, each of shape (points,), 0..1."""
Floats = npt.NDArray[np.float64]

DPI = 120
COLUMNS = 4


def roc_figure(curves: Mapping[str, Curve], title: str, band: Sequence[Curve] = ()) -> "Figure":
    """ROC curves in one plot, with the diagonal of chance.

    Args:
        curves: legend text (a class or a fold) -> (false positive rates, true positive rates).
        title: above the plot.
        band: curves of two or more folds, drawn as their mean ± 1 sd (ddof 1) and not one by one; fewer draw nothing.
    """
    figure = _figure(5, 5)
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
    figure = _figure(1.8 + n, 1.6 + n)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, called), count in np.ndenumerate(counts):
        colour = "white" if shares[true, called] > 0.5 else "black"
        axes.text(called, true, f"{count}\n{shares[true, called]:.0%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(n), classes)
    axes.set_yticks(range(n), classes)
    axes.set(xlabel="Called", ylabel="True", title=title)
    return figure


def aio_figure(images: npt.NDArray[np.floating], titles: Sequence[str]) -> "Figure":
    """Artificial image objects side by side, in grey, one gene per pixel.

    All share one scale, from the lowest to the highest value of all. The channels of a picture are drawn as tiles of
    it; a 1-D picture is wrapped row by row into a square.

    Args:
        images: shape (n, height, width, channels) or (n, length, 1).
        titles: one per picture.

    Raises:
        ValueError: there is no picture, or the number of titles is another one.
    """
    if len(images) == 0 or len(images) != len(titles):
        raise ValueError(f"Expected one title for each of one or more pictures. Received {len(images)}, {len(titles)}.")
    columns = min(COLUMNS, len(images))
    rows = ceil(len(images) / columns)
    figure = _figure(2.6 * columns, 2.9 * rows)
    low, high = float(np.min(images)), float(np.max(images))
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(_plane(image), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, fontsize=9)
    return figure


def save_png(figure: "Figure", path: Path) -> None:
    """Write a figure to ``path`` as PNG. Its folder must be there."""
    figure.savefig(path, format="png", dpi=DPI)


def _figure(width: float, height: float) -> "Figure":
    """An empty figure, width and height in inches, that draws to memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plane(image: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
    """One picture -> shape (height, width), NaN (drawn as nothing) where there is no pixel."""
    if image.ndim == 2:
        return _wrap(list(image[:, 0]))
    channels = np.moveaxis(image, -1, 0)
    side = isqrt(len(channels) - 1) + 1
    height, width = image.shape[:2]
    plane = np.full((ceil(len(channels) / side) * height, side * width), np.nan)
    for i, channel in enumerate(channels):
        row, column = divmod(i, side)
        plane[row * height : (row + 1) * height, column * width : (column + 1) * width] = channel
    return plane


def _wrap(values: Sequence[float]) -> npt.NDArray[Any]:
    side = isqrt(len(values) - 1) + 1
    plane = np.full(ceil(len(values) / side) * side, np.nan)
    plane[: len(values)] = values
    return plane.reshape(-1, side)
