"""What all figures share: no pyplot, so no global state and no display; any thread may draw.

matplotlib is imported late, since it takes half a second and most commands draw nothing.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, width and height in inches, that draws to memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: "Figure", path: Path) -> None:
    """Write a figure to ``path`` as PNG. Its folder must be there."""
    figure.savefig(path, format="png", dpi=DPI)
