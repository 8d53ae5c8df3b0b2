"""A layout as a value, and the contract of what makes one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Genes = npt.NDArray[np.float32]
"""Values by gene, shape (n, genes)."""
Images = npt.NDArray[np.float32]
"""Pictures, shape (n, height, width, channels) or (n, length, 1)."""
Shape = tuple[int, ...]
State = dict[str, npt.NDArray[Any]]
"""What is kept on disk: plain arrays by name, never objects."""

PADDING = -1
"""Stands for "no gene" in ``Layout.order``."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Which gene is which pixel. Every gene has exactly one pixel; pixels without a gene are padding.

    Attributes:
        name: name it was made by.
        shape: of one picture, (height, width, channels) or (length, 1).
        order: gene index at each pixel in C order of ``shape``, ``PADDING`` (-1) where there is none; int32, shape
            (pixels,), read-only.

    Raises:
        ValueError: ``order`` does not fill ``shape`` or does not hold each of the genes 0..n-1 once.
    """

    name: str
    shape: Shape
    order: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        order = np.array(self.order, dtype=np.int32)
        if order.shape != (prod(self.shape),):
            raise ValueError(f"Expected the genes of {prod(self.shape)} pixels. Received shape {order.shape}.")
        genes = np.sort(order[order != PADDING])
        if not np.array_equal(genes, np.arange(genes.size)):
            raise ValueError("Expected each gene at exactly one pixel. Received genes missing or repeated.")
        order.setflags(write=False)
        object.__setattr__(self, "order", order)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        return (self.name, self.shape) == (other.name, other.shape) and np.array_equal(self.order, other.order)

    def __hash__(self) -> int:
        return hash((self.name, self.shape, self.order.tobytes()))

    @property
    def n_genes(self) -> int:
        return self._pixels.size

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """True at the pixels that are a gene, False at padding; shape ``shape``."""
        return (self.order != PADDING).reshape(self.shape)

    @cached_property
    def _pixels(self) -> npt.NDArray[np.intp]:
        """Flat pixel of each gene, shape (genes,): padding sorts first, and then come the genes in order."""
        return np.argsort(self.order, kind="stable")[int(np.sum(self.order == PADDING)) :]

    def to_image(self, x: npt.NDArray[np.floating], fill: float = 0.0) -> Images:
        """Draw pictures.

        Args:
            x: values by gene, shape (n, genes).
            fill: value of padding pixels.

        Returns:
            float32, shape (n, *shape); a view of ``x`` where the layout is a plain reshape of float32 values.

        Raises:
            ValueError: ``x`` has another number of genes.
        """
        self._check(x, (self.n_genes,))
        x = np.asarray(x, dtype=np.float32)
        if np.array_equal(self.order, np.arange(self.n_genes)):
            return x.reshape(-1, *self.shape)
        images = np.full((len(x), self.order.size), fill, dtype=np.float32)
        images[:, self._pixels] = x
        return images.reshape(-1, *self.shape)

    def to_genes(self, images: npt.NDArray[np.floating]) -> Genes:
        """Read values by gene off pictures, the inverse of ``to_image``; padding is dropped.

        Args:
            images: shape (n, *shape).

        Returns:
            float32, shape (n, genes).

        Raises:
            ValueError: the pictures have another shape.
        """
        self._check(images, self.shape)
        flat = np.asarray(images, dtype=np.float32).reshape(len(images), self.order.size)
        return flat[:, self._pixels]

    def gene_at(self, pixel: tuple[int, ...]) -> int | None:
        """Gene index at a pixel, (row, column, channel) or (position, 0); None at padding.

        Raises:
            ValueError: the pixel is outside the picture.
        """
        gene = int(self.order[np.ravel_multi_index(pixel, self.shape)])
        return None if gene == PADDING else gene

    def pixel_of(self, gene: int) -> tuple[int, ...]:
        """The pixel of a gene, (row, column, channel) or (position, 0).

        Raises:
            IndexError: there is no such gene.
        """
        if not 0 <= gene < self.n_genes:
            raise IndexError(f"Expected a gene index from 0 to {self.n_genes - 1}. Received {gene}.")
        return tuple(int(i) for i in np.unravel_index(self._pixels[gene], self.shape))

    def state(self) -> State:
        """Arrays that ``from_state`` makes an equal layout of."""
        return {"name": np.array(self.name), "shape": np.array(self.shape, dtype=np.int64), "order": self.order}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> "Layout":
        """The inverse of ``state``.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are not those of a layout.
        """
        return cls(str(state["name"]), tuple(int(side) for side in state["shape"]), state["order"])

    @staticmethod
    def _check(values: npt.NDArray[np.floating], expected: Shape) -> None:
        if values.shape[1:] != expected or values.ndim != 1 + len(expected):
            wanted = ", ".join(map(str, ("n", *expected)))
            raise ValueError(f"Expected shape ({wanted}). Received {values.shape}.")


class LayoutMaker(ABC):
    """Makes the layouts of one name.

    Guarantees of every implementation, checked by one suite of tests:
    ``make`` depends on its arguments alone, its result has the shape that ``shape`` foretold, holds every gene once,
    and pads only where the picture has more pixels than there are genes.

    Attributes:
        name: key in ``LAYOUTS``.
        version: raised when the same arguments begin to give another layout; part of the cache's key.
        fitted: whether ``make`` looks at the values of ``x_train``, and is thus worth keeping in a cache.
    """

    name: str
    version: ClassVar[int] = 1
    fitted: ClassVar[bool] = False

    @abstractmethod
    def shape(self, n_genes: int) -> Shape:
        """Shape of a picture of ``n_genes`` genes (at least 1)."""

    @abstractmethod
    def make(self, x_train: Genes, seed: int) -> Layout:
        """Make the layout for the genes of ``x_train``, shape (n, genes)."""


def place(name: str, shape: Shape, genes: npt.NDArray[np.integer]) -> Layout:
    """The layout with these genes at the first pixels, in C order, and padding after them."""
    order = np.full(prod(shape), PADDING, dtype=np.int32)
    order[: genes.size] = genes
    return Layout(name, shape, order)
