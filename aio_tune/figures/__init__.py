"""Figures, as matplotlib ``Figure`` objects that are not drawn on any screen.

base        an empty figure, and how one is written to a file
calls       ROC curves, confusion matrix, calibration
pictures    artificial image objects
network     a network, layer by layer
progress    learning curves of a trial; history and parameter importance of a search
attribution attributions over the mean picture
survival    Kaplan-Meier curves with numbers at risk
shift       cohorts on principal components
"""

from aio_tune.figures.base import save_png
from aio_tune.figures.calls import calibration_figure, confusion_figure, mean_roc, roc_figure
from aio_tune.figures.network import Layer, network_figure
from aio_tune.figures.pictures import aio_figure
from aio_tune.figures.progress import curves_figure, history_figure, importance_figure
from aio_tune.figures.shift import shift_figure
from aio_tune.figures.survival import survival_figure

__all__ = [
    "Layer",
    "aio_figure",
    "calibration_figure",
    "confusion_figure",
    "curves_figure",
    "history_figure",
    "importance_figure",
    "mean_roc",
    "network_figure",
    "roc_figure",
    "save_png",
    "shift_figure",
    "survival_figure",
]
