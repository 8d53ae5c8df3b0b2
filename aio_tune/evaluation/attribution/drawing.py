"""Attributions as pictures, in the layout of one network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.attribution.pixels import value_channels
from aio_tune.preprocess import Preprocessor


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a figure shows of expression, every array of shape (height, width, channels) or (length, 1).

    Attributes:
        layout: its name.
        mean: the mean picture of the samples.
        attributions: title -> value of each pixel, 0 at padding.
        chromosome: of each pixel, an index of ``chromosomes``, -1 at padding; None unless genes are in the order of the
            chromosomes.
        chromosomes: names.
        signed: whether values below 0 speak against what they are of.
    """

    layout: str
    mean: npt.NDArray[np.floating]
    attributions: dict[str, npt.NDArray[np.floating]]
    chromosome: npt.NDArray[np.int64] | None
    chromosomes: tuple[str, ...]
    signed: bool


def draw(
    preprocessor: Preprocessor,
    mean: npt.NDArray[np.floating],
    attributions: Mapping[str, npt.NDArray[np.floating]],
    chromosomes: Sequence[str],
    signed: bool = True,
) -> Drawing:
    """Put values by column back onto the pixels of expression.

    Args:
        preprocessor: holds the layout.
        mean: mean picture, shape ``preprocessor.shape``.
        attributions: title -> shape (n_kinds * n_genes,).
        chromosomes: of each gene, in the order of the columns.
        signed: see ``Drawing``.
    """
    layout = preprocessor.layout
    n = layout.n_genes
    names = tuple(dict.fromkeys(chromosomes))
    codes = np.array([[names.index(name) for name in chromosomes]], np.float32)
    placed = layout.order[layout.mask.ravel()]
    # In genomic order a chromosome is one stretch of genes, and the layout has them one after the other.
    stretches = 1 + int((np.diff(codes[0]) != 0).sum())
    in_order = np.array_equal(placed, np.arange(n)) and stretches == len(names)
    return Drawing(
        layout=layout.name,
        mean=mean[..., value_channels(preprocessor)[0]],
        attributions={title: layout.to_image(values[None, :n])[0] for title, values in attributions.items()},
        chromosome=layout.to_image(codes, fill=-1)[0].astype(np.int64) if in_order else None,
        chromosomes=names,
        signed=signed,
    )
