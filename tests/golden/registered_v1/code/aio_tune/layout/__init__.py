"""Which gene is which pixel of an artificial image object (AIO), and back.

    base           Layout (pixels <-> genes, pure NumPy) and LayoutMaker (the contract)
    grids          the layouts that need no data: square, stacked, 1d, shuffled, and sizes such as 128x128x1
    coexpression   genes expressed together are neighbours; fitted on training rows
    cache          fitted layouts on disk, shared by the trials of a search

A new layout is one ``LayoutMaker`` and one line in ``LAYOUTS``. Importing this package imports NumPy alone: it travels
inside registered models, where a layout is applied but never fitted.
"""

import re
from pathlib import Path

import numpy as np

from aio_tune.errors import TrialError
from aio_tune.expression import Matrix, Rows, as_rows
from aio_tune.layout.base import Layout, LayoutMaker, Shape
from aio_tune.layout.cache import cached
from aio_tune.layout.coexpression import Coexpression
from aio_tune.layout.grids import Line, Shuffled, Sized, Square, Stacked

LAYOUTS: dict[str, LayoutMaker] = {
    maker.name: maker for maker in (Square(), Stacked(), Line(), Coexpression(), Shuffled())
}

ROWS = 1024
"""Most training rows that a layout is fitted on, drawn at random where there are more: by then the correlation of two
genes is known to within 0.03, and what is fitted in memory stays small."""

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d{0,2})")


def get_maker(name: str) -> LayoutMaker:
    """The maker called ``name``: a key of ``LAYOUTS``, or a size such as ``128x128x1`` or ``64x64x4``.

    Raises:
        TrialError: there is none of that name.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    size = _SIZE.fullmatch(name)
    if size is None:
        raise TrialError(
            f"Expected a layout, one of {', '.join(LAYOUTS)}, or a size such as 128x128x1. Received {name!r}."
        )
    height, width, channels = map(int, size.groups())
    return Sized((height, width, channels))


def grid_shape(name: str, n_genes: int) -> Shape:
    """Shape of a picture, (height, width, channels) or (length, 1), known without fitting.

    Raises:
        TrialError: the name is unknown, or the genes do not fit into a size that was asked for.
        ValueError: n_genes is below 1.
    """
    if n_genes < 1:
        raise ValueError(f"Expected at least one gene. Received {n_genes}.")
    return get_maker(name).shape(n_genes)


def make_layout(name: str, x_train: Matrix | Rows, seed: int, cache: Path | None = None) -> Layout:
    """Make the layout called ``name``.

    Args:
        name: as for ``get_maker``.
        x_train: expression of the training rows, float32, shape (n, genes), genes in genomic order; not
            read unless the layout is fitted, and then ``ROWS`` of them at most.
        seed: 0 or more. The same rows and seed give the same layout.
        cache: folder where layouts that are costly to fit are kept; None fits anew.

    Raises:
        TrialError: as ``grid_shape``.
    """
    shape = grid_shape(name, x_train.shape[1])  # asked first: what cannot fit is refused before long work
    maker = get_maker(name)
    if not maker.fitted:
        return maker.make(np.empty((0, x_train.shape[1]), np.float32), seed)
    drawn = as_rows(x_train).at_most(ROWS, seed).whole()
    return maker.make(drawn, seed) if cache is None else cached(maker, shape, drawn, seed, cache)


__all__ = ["LAYOUTS", "Layout", "LayoutMaker", "Shape", "get_maker", "grid_shape", "make_layout"]
