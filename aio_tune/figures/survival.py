"""Kaplan-Meier curves with the numbers at risk below them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from aio_tune.figures.base import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DAYS_PER_YEAR = 365.25

Floats = npt.NDArray[np.float64]


class Steps(NamedTuple):
    """A survival curve, as ``aio_tune.evaluation.survival.KaplanMeier`` describes it; times in days."""

    days: Floats
    survival: Floats
    low: Floats
    high: Floats
    at_risk: npt.NDArray[np.int64]
    censored: Floats


def survival_figure(curves: Mapping[str, Steps], title: str, note: str = "") -> "Figure":
    """Survival of groups of patients over years, with 95 % bands, ticks where patients were last seen, numbers at risk.

    Args:
        curves: group -> its curve.
        title: above the plot.
        note: in the lower left corner, e.g. the log-rank test's p.
    """
    rows = 0.22 * len(curves)
    figure = new_figure(6, 4.6 + rows)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4.0, rows])
    for name, steps in curves.items():
        years = steps.days / DAYS_PER_YEAR
        (line,) = axes.step(years, steps.survival, where="post", label=name, linewidth=1.6)
        axes.fill_between(years, steps.low, steps.high, step="post", color=line.get_color(), alpha=0.15, linewidth=0)
        axes.plot(
            steps.censored / DAYS_PER_YEAR, _at(steps, steps.censored), linestyle="none", marker="|", markersize=5,
            color=line.get_color(), alpha=0.6,
        )  # fmt: skip
    last = max((steps.days[-1] for steps in curves.values()), default=DAYS_PER_YEAR) / DAYS_PER_YEAR
    axes.set(xlim=(0, last), ylim=(0, 1.02), title=title, ylabel="Share alive")
    if note:
        axes.text(0.03, 0.05, note, transform=axes.transAxes)
    axes.legend(loc="lower right", frameon=False)
    axes.tick_params(labelbottom=True)
    _numbers_at_risk(below, curves)
    return figure


def at_risk(steps: Steps, days: float) -> int:
    """Patients neither dead nor lost to follow-up just before a day."""
    later = np.flatnonzero(steps.days >= days)
    return int(steps.at_risk[later[0]]) if later.size else 0


def _at(steps: Steps, days: Floats) -> Floats:
    """The curve's height at some days."""
    return steps.survival[np.searchsorted(steps.days, days, side="right") - 1]


def _numbers_at_risk(axes: "Axes", curves: Mapping[str, Steps]) -> None:
    """One row for each group, one column for each tick."""
    first, last = axes.get_xlim()
    for row, steps in enumerate(curves.values()):
        for tick in axes.get_xticks():
            if first <= tick <= last:
                axes.text(tick, row, f"{at_risk(steps, tick * DAYS_PER_YEAR):,}", ha="center", va="center", size=8)
    axes.set_yticks(range(len(curves)), list(curves))
    axes.set(ylim=(len(curves) - 0.5, -0.5), xlabel="Years, and patients at risk")
    axes.tick_params(bottom=False, left=False, labelbottom=False)
    axes.tick_params(axis="y", pad=20)  # beside the first column's numbers, which are centred on the axis
    for spine in axes.spines.values():
        spine.set_visible(False)
