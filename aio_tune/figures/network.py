"""A network as the field draws it: blocks from the picture on the left to the calls on the right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aio_tune.figures.base import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {
    "InputLayer": "#dddddd",
    "Conv": "#9ecae1",
    "MaxPooling": "#fdae6b",
    "Dense": "#a1d99b",
    "Concatenate": "#bcbddc",
}
# Drawn as part of the block before: they change no shape and have next to no weights.
_WITHIN = ("Dropout", "Activation", "BatchNormalization", "Flatten")


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: unique within the network.
        kind: Keras' name of it, e.g. ``"Conv2D"``.
        shape: of what comes out for one sample.
        parameters: its weights, those that are not trained included.
        inputs: names of the layers that it takes from; none for the input.
        detail: the setting that matters, e.g. ``"3x3"`` or ``"rate 0.2"``.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    inputs: tuple[str, ...]
    detail: str = ""


def network_figure(layers: Sequence[Layer], title: str) -> "Figure":
    """Blocks in the order of computation, branches above each other; a block's height is the order of its output.

    Dropout, activation, normalisation and flattening are not drawn; the text beside the figure has them.
    Source of the manner: Chen et al., Breast Cancer Res 23:96, 2021, Fig. 2.

    Args:
        layers: each after those that it takes from.
        title: above the plot.

    Raises:
        ValueError: there is no layer.
    """
    if not layers:
        raise ValueError("Expected one or more layers. Received none.")
    drawn, sources = _blocks(layers)
    column = _columns(drawn, sources)
    lane = _lanes(drawn, column)
    figure = new_figure(max(6.0, 0.95 * (max(column.values()) + 2)), 1.2 + 2.0 * (1 + max(lane.values())))
    axes = figure.add_subplot()
    for layer in drawn:
        for source in sources[layer.name]:
            _draw_way(axes, (column[source], -lane[source]), (column[layer.name], -lane[layer.name]))
        _draw_block(axes, layer, column[layer.name], -lane[layer.name])
    axes.set(xlim=(-0.8, max(column.values()) + 0.8), ylim=(-max(lane.values()) - 0.75, 0.6), title=title)
    axes.set_axis_off()
    return figure


def _draw_way(axes: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
    """An arrow between two blocks, around those in between if they are in different rows."""
    corner = end[0] - 0.4
    axes.plot([start[0] + 0.25, corner, corner], [start[1], start[1], end[1]], color="0.5", linewidth=0.8, zorder=0)
    arrow = {"arrowstyle": "->", "color": "0.5", "linewidth": 0.8}
    axes.annotate("", (end[0] - 0.25, end[1]), (corner, end[1]), arrowprops=arrow)


def _draw_block(axes: Any, layer: Layer, x: float, y: float) -> None:
    from matplotlib.patches import Rectangle

    colour = next((c for start, c in _COLOURS.items() if layer.kind.startswith(start)), "#eeeeee")
    height = 0.12 + 0.05 * math.log2(1 + math.prod(layer.shape))
    axes.add_patch(Rectangle((x - 0.25, y - height / 2), 0.5, height, facecolor=colour, edgecolor="0.3", linewidth=0.8))
    shape = "×".join(map(str, layer.shape))
    lines = [layer.kind, layer.detail, shape]
    axes.text(x, y - height / 2 - 0.04, "\n".join(filter(None, lines)), ha="center", va="top", fontsize=6)


def _blocks(layers: Sequence[Layer]) -> tuple[list[Layer], dict[str, tuple[str, ...]]]:
    """The layers that are drawn, and for each the drawn ones that it takes from."""
    stands_for: dict[str, str] = {}
    drawn, sources = [], {}
    for layer in layers:
        inputs = tuple(dict.fromkeys(stands_for[name] for name in layer.inputs))
        if layer.kind in _WITHIN and len(inputs) == 1:
            stands_for[layer.name] = inputs[0]
        else:
            stands_for[layer.name] = layer.name
            drawn.append(layer)
            sources[layer.name] = inputs
    return drawn, sources


def _columns(drawn: Sequence[Layer], sources: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Steps from the input, along the longest way."""
    column: dict[str, int] = {}
    for layer in drawn:
        column[layer.name] = 1 + max((column[name] for name in sources[layer.name]), default=-1)
    return column


def _lanes(drawn: Sequence[Layer], column: dict[str, int]) -> dict[str, int]:
    """Row of each block: the first that is free in its column."""
    taken: dict[int, int] = {}
    lane = {}
    for layer in drawn:
        lane[layer.name] = taken.get(column[layer.name], 0)
        taken[column[layer.name]] = lane[layer.name] + 1
    return lane
