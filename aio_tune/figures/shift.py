"""The figure of the shift between cohorts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.figures.base import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel = tuple[npt.NDArray[np.floating], npt.NDArray[np.str_]]
"""Coordinates of samples on two principal components, shape (n, 2), and the cohort of each, shape (n,)."""


def shift_figure(panels: Mapping[str, Panel]) -> "Figure":
    """Samples on two principal components, coloured by cohort, one plot beside the other.

    Args:
        panels: title, such as "none" and "fsqn" -> ``coordinates`` and ``cohort_of`` of a
            ``aio_tune.harmonise.shift.Shift``. Each has components of its own, so only distances within a plot count.

    Raises:
        ValueError: there is no panel.
    """
    if not panels:
        raise ValueError("Expected one or more panels. Received none.")
    figure = new_figure(4.2 * len(panels), 4)
    for i, (title, (coordinates, cohort_of)) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        for name in dict.fromkeys(cohort_of.tolist()):
            x, y = coordinates[cohort_of == name].T
            axes.scatter(x, y, s=6, alpha=0.6, linewidths=0, label=name)
        axes.set(xlabel="Component 1", ylabel="Component 2", title=title)
        axes.legend(frameon=False, fontsize=8, markerscale=2)
    return figure
