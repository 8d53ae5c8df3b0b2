"""Kaplan-Meier curves with the numbers at risk below them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aio_tune.figures.base import new_figure
from aio_tune.kaplan_meier import KaplanMeier
from aio_tune.numbers import DAYS_PER_YEAR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def survival_figure(curves: Mapping[str, KaplanMeier], title: str, note: str = "") -> "Figure":
    """Survival of groups of patients over years, with 95 % bands, ticks where patients were last seen, numbers at risk.

    Args:
        curves: group -> its curve.
        title: above the plot.
        note: in the lower left corner, e.g. the log-rank test's p.
    """
    rows = 0.22 * len(curves)
    figure = new_figure(6, 4.6 + rows)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4.0, rows])
    for name, curve in curves.items():
        years = curve.days / DAYS_PER_YEAR
        (line,) = axes.step(years, curve.survival, where="post", label=name, linewidth=1.6)
        axes.fill_between(years, curve.low, curve.high, step="post", color=line.get_color(), alpha=0.15, linewidth=0)
        axes.plot(
            curve.censored / DAYS_PER_YEAR, curve.at(curve.censored), linestyle="none", marker="|", markersize=5,
            color=line.get_color(), alpha=0.6,
        )  # fmt: skip
    last = max((curve.days[-1] for curve in curves.values()), default=DAYS_PER_YEAR) / DAYS_PER_YEAR
    axes.set(xlim=(0, last), ylim=(0, 1.02), title=title, ylabel="Share alive")
    if note:
        axes.text(0.03, 0.05, note, transform=axes.transAxes)
    axes.legend(loc="lower right", frameon=False)
    axes.tick_params(labelbottom=True)
    _numbers_at_risk(below, curves)
    return figure


def _numbers_at_risk(axes: "Axes", curves: Mapping[str, KaplanMeier]) -> None:
    """One row for each group, one column for each tick."""
    first, last = axes.get_xlim()
    for row, curve in enumerate(curves.values()):
        for tick in axes.get_xticks():
            if first <= tick <= last:
                axes.text(tick, row, f"{curve.count_at(tick * DAYS_PER_YEAR):,}", ha="center", va="center", size=8)
    axes.set_yticks(range(len(curves)), list(curves))
    axes.set(ylim=(len(curves) - 0.5, -0.5), xlabel="Years, and patients at risk")
    axes.tick_params(bottom=False, left=False, labelbottom=False)
    axes.tick_params(axis="y", pad=20)  # beside the first column's numbers, which are centred on the axis
    for spine in axes.spines.values():
        spine.set_visible(False)
