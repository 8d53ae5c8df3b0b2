"""How a trial learnt, and how a search went."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aio_tune.figures.base import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = Mapping[int, float]
"""Epoch -> value."""


def curves_figure(curves: Mapping[str, Mapping[str, Points]], title: str) -> "Figure":
    """Learning curves: each fold thin, the mean of the epochs that all folds went through bold.

    Args:
        curves: curve, such as ``"valid_loss"`` -> fold -> epoch -> value.
        title: above the plots.

    Raises:
        ValueError: there is no curve.
    """
    from matplotlib.ticker import MaxNLocator

    if not curves:
        raise ValueError("Expected one or more curves. Received none.")
    figure = new_figure(4.2 * len(curves), 3.6)
    figure.suptitle(title)
    for i, (name, folds) in enumerate(curves.items()):
        axes = figure.add_subplot(1, len(curves), i + 1)
        for fold, points in folds.items():
            axes.plot(list(points), list(points.values()), linewidth=0.9, alpha=0.6, label=f"fold {fold}")
        common = sorted(set.intersection(*(set(points) for points in folds.values())))
        mean = [float(np.mean([points[epoch] for points in folds.values()])) for epoch in common]
        axes.plot(common, mean, color="black", linewidth=2, label="mean")
        axes.set(xlabel="Epoch", title=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
    return figure


def history_figure(values: Mapping[str, Points], best: Points, metric: str, title: str) -> "Figure":
    """Every trial's value by its number, and the best so far as a step line.

    Args:
        values: state, such as ``"COMPLETE"`` -> trial -> value over the folds it came to.
        best: trial -> best value of a complete trial up to it.
        metric: on the vertical axis.
        title: above the plot.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    for state, points in values.items():
        axes.scatter(list(points), list(points.values()), s=18, alpha=0.8, label=f"{state} ({len(points)})")
    if best:
        axes.step(list(best), list(best.values()), where="post", color="black", linewidth=1, label="best so far")
    axes.set(xlabel="Trial", ylabel=metric, title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if values or best:
        axes.legend(frameon=False, fontsize=8)
    return figure


def importance_figure(importances: Mapping[str, float], n_trials: int, title: str) -> "Figure":
    """Bars of how much of the variation among trials each parameter accounts for.

    Args:
        importances: parameter -> share, 0..1.
        n_trials: that this was learnt from.
        title: above the plot.

    Raises:
        ValueError: there is no parameter.
    """
    if not importances:
        raise ValueError("Expected one or more parameters. Received none.")
    names: Sequence[str] = sorted(importances, key=lambda name: importances[name])
    figure = new_figure(6.5, 1.4 + 0.32 * len(names))
    axes = figure.add_subplot()
    bars = axes.barh(names, [importances[name] for name in names], color="#6baed6")
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set(xlabel=f"Importance (fANOVA over {n_trials} complete trials)", title=title)
    axes.set_xlim(0, 1.12 * max(importances.values()) or 1)
    return figure
