"""Which genes drive a call, on the picture."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.figures.base import new_figure
from aio_tune.figures.pictures import plane_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = npt.NDArray[np.floating]


def attribution_figure(
    mean: Picture,
    attributions: Mapping[str, Picture],
    title: str,
    scale: str,
    chromosome: npt.NDArray[np.integer] | None = None,
    chromosomes: Sequence[str] = (),
) -> "Figure":
    """The mean picture in grey with attributions over it, one plot per class.

    Red speaks for the class where the gene is high, blue where it is low; the stronger, the less of the picture shines
    through. All plots share one scale. The channels of a picture are tiles, a 1-D picture is wrapped row by row.

    Args:
        mean: shape (height, width, channels) or (length, 1).
        attributions: title -> the same shape.
        title: of the whole.
        scale: what the colours mean.
        chromosome: index into ``chromosomes`` of each pixel, -1 at padding, the same shape; chromosomes are then
            bounded by lines and named at the left, where those of the upper tiles begin to the height of their middle.
        chromosomes: names.

    Raises:
        ValueError: there is no attribution.
    """
    if not attributions:
        raise ValueError("Expected attributions of one or more classes. Received none.")
    figure = new_figure(5.2 * len(attributions) + 1, 5.4)
    figure.suptitle(title, fontsize=10)
    limit = max(float(np.abs(values).max()) for values in attributions.values()) or 1.0
    panels = [figure.add_subplot(1, len(attributions), i + 1) for i in range(len(attributions))]
    for axes, (name, values) in zip(panels, attributions.items(), strict=True):
        axes.imshow(plane_of(mean), cmap="gray", interpolation="nearest")
        plane = plane_of(values)
        # The root lets what is weaker than the strongest gene be seen too.
        opacity = np.sqrt(np.abs(np.nan_to_num(plane)) / limit)
        axes.imshow(
            np.nan_to_num(plane), cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=opacity, interpolation="nearest"
        )
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
        if chromosome is not None:
            _mark_chromosomes(axes, plane_of(chromosome.astype(float)), chromosome, chromosomes)
    figure.colorbar(panels[0].images[-1], ax=panels, shrink=0.7, label=scale)
    return figure


def _mark_chromosomes(axes: "Axes", plane: npt.NDArray[Any], chromosome: Any, names: Sequence[str]) -> None:
    """Lines between pixels of different chromosomes, and names at the left."""
    plane = np.nan_to_num(plane, nan=-1)
    lines: list[list[tuple[float, float]]] = []
    for row, column in np.argwhere(plane[1:] != plane[:-1]):
        lines.append([(column - 0.5, row + 0.5), (column + 0.5, row + 0.5)])
    for row, column in np.argwhere(plane[:, 1:] != plane[:, :-1]):
        lines.append([(column + 0.5, row - 0.5), (column + 0.5, row + 0.5)])
    from matplotlib.collections import LineCollection

    axes.add_collection(LineCollection(lines, colors="gold", linewidths=0.5))
    first = plane_of(chromosome[..., :1]) if chromosome.ndim == 3 else plane
    middles = [float(np.argwhere(first == i)[:, 0].mean()) if (first == i).any() else np.nan for i in range(len(names))]
    known = [(middle, name) for middle, name in zip(middles, names, strict=True) if name and not np.isnan(middle)]
    axes.set_yticks([middle for middle, _ in known], [name for _, name in known], fontsize=6)
