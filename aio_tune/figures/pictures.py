"""Artificial image objects, drawn."""

from collections.abc import Sequence
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.figures.base import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4


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
    figure = new_figure(2.6 * columns, 2.9 * rows)
    low, high = float(np.min(images)), float(np.max(images))
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(plane_of(image), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, fontsize=9)
    return figure


def plane_of(image: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
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
