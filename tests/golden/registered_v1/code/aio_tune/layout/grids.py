"""Layouts that need no data: genes in the order given (genomic order), or shuffled.

Padding, where the picture has more pixels than there are genes, is always at the end, in C order.
"""

from dataclasses import dataclass
from math import ceil, isqrt, prod

import numpy as np

from aio_tune.errors import TrialError
from aio_tune.layout.base import Genes, Layout, LayoutMaker, Shape, place

STACKED_CHANNELS = 4


def ceil_sqrt(n: int) -> int:
    """Smallest integer whose square is at least n, for n of 1 and more (exact, unlike a float's root)."""
    return isqrt(n - 1) + 1


class InOrder(LayoutMaker):
    """Genes in the order given, along the picture in C order."""

    def make(self, x_train: Genes, seed: int) -> Layout:
        n_genes = x_train.shape[1]
        return place(self.name, self.shape(n_genes), np.arange(n_genes))


class Square(InOrder):
    """The smallest square with one channel, row by row: 128 x 128 x 1 for 16,384 genes."""

    name = "square"

    def shape(self, n_genes: int) -> Shape:
        side = ceil_sqrt(n_genes)
        return (side, side, 1)


class Stacked(InOrder):
    """The smallest square with four channels: 64 x 64 x 4 for 16,384 genes.

    Four consecutive genes share a pixel, one per channel, and pixels follow row by row. So genes that are neighbours
    on a chromosome are seen together by every filter, even by one of 1 x 1. The paper does not say which way it went.
    """

    name = "stacked"

    def shape(self, n_genes: int) -> Shape:
        side = ceil_sqrt(ceil(n_genes / STACKED_CHANNELS))
        return (side, side, STACKED_CHANNELS)


class Line(InOrder):
    """One gene after the other, without padding: (genes, 1)."""

    name = "1d"

    def shape(self, n_genes: int) -> Shape:
        return (n_genes, 1)


class Shuffled(Square):
    """The square with genes in random order: the control that tells whether a layout carries anything."""

    name = "shuffled"

    def make(self, x_train: Genes, seed: int) -> Layout:
        n_genes = x_train.shape[1]
        return place(self.name, self.shape(n_genes), np.random.default_rng(seed).permutation(n_genes))


@dataclass(frozen=True)
class Sized(InOrder):
    """A picture of the size asked for, filled as ``square`` (one channel) and ``stacked`` (several) are.

    Attributes:
        size: (height, width, channels).
    """

    size: tuple[int, int, int]

    @property
    def name(self) -> str:  # type: ignore[override]
        return "x".join(map(str, self.size))

    def shape(self, n_genes: int) -> Shape:
        if n_genes > prod(self.size):
            raise TrialError(
                f"Expected at most {prod(self.size)} genes for layout {self.name}. Received {n_genes}.",
                "Use square or stacked, which grow with the genes, or prepare the dataset with fewer.",
            )
        return self.size
