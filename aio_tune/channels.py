"""Further kinds of omics as channels of the picture: their scaling, and what stands for what was not measured.

A kind's genes have the pixels that the layout gave them by their expression. It adds its values as channels, and as
many again that say where they were measured (1) and where not (0), so that the network can tell. Not measured, NaN,
are whole patients and genes that a file lacks; after scaling they are 0, as padding is, which by itself would mean
    minmax   the lowest value seen in training,
    zscore   the training mean,
    rank     the rank of the sample's median gene.

Importing this module imports NumPy alone, since it travels inside registered models.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.expression import Floats, Matrix, Rows
from aio_tune.layout import Layout, Shape
from aio_tune.scaling import Scaling


@dataclass(frozen=True, eq=False)
class Channels:
    """One further kind, as fitted on one fold's training rows.

    Attributes:
        kind: its name, e.g. ``"methylation"``.
        scaling: fitted on the training rows that have the kind, gene by gene.
        measured: which genes some training row had, shape (genes,). The others stay masked whatever a later sample
            has, since no weight has learnt what to make of them.
    """

    kind: str
    scaling: Scaling
    measured: npt.NDArray[np.bool_]

    @classmethod
    def fit(cls, kind: str, scaling: type[Scaling], rows: Rows) -> "Channels":
        """Fit on training rows, float32, shape (n, genes), NaN where not measured; read in pieces.

        Raises:
            ValueError: a value is infinite.
        """
        return cls(kind, *fit_measured(scaling, rows))

    def draw(self, x: Floats, layout: Layout) -> tuple[Floats, Floats]:
        """The kind's part of pictures. Rows do not affect one another.

        Args:
            x: float32, shape (n, genes), NaN where not measured; never written.
            layout: that of expression.

        Returns:
            Values and mask, each float32, shape (n, *layout.shape), both 0 at padding and where not measured, here or
            in training.
        """
        missing = np.isnan(x) | ~self.measured
        values = self.scaling.transform(_filled(x, missing))
        values[missing] = 0
        return layout.to_image(values), layout.to_image((~missing).astype(np.float32))


def picture_shape(layout: Shape, kinds: int) -> Shape:
    """Shape of a picture of so many kinds, expression among them, on a layout of this shape."""
    return (*layout[:-1], layout[-1] * (2 * kinds - 1))


def fit_measured(scaling: type[Scaling], rows: Rows) -> tuple[Scaling, npt.NDArray[np.bool_]]:
    """A scaling of which each gene's part is fitted on the rows that have that gene, and which genes any row has.

    Genes with the same rows are fitted together. They are few groups: a file lacks a patient or a gene as a whole, so
    rows differ in what they have by their cohort, and by whether they have the kind at all. A gene that no row has is
    fitted as if it were 0 everywhere; nobody sees the result.

    Raises:
        ValueError: a value is infinite.
    """
    has, of_row = _patterns(rows)
    state: dict[str, npt.NDArray[Any]] = {}
    for pattern in np.unique(has, axis=1).T:
        genes = (has == pattern[:, None]).all(axis=0)
        fitted = scaling.fit(_with_zeros(rows, np.flatnonzero(pattern[of_row]), len(genes))).state()
        for name, array in fitted.items():
            state.setdefault(name, np.empty_like(array))[genes] = array[genes]
    return scaling.from_state(state), np.asarray(has.any(axis=0))


def _patterns(rows: Rows) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """What rows may have, shape (patterns, genes), and the pattern of each row, shape (n,)."""
    known: dict[bytes, int] = {}
    patterns: list[npt.NDArray[np.bool_]] = []
    of_row: list[int] = []
    for piece in rows.pieces():
        if np.isinf(piece).any():
            raise ValueError("Expected numbers, or NaN where not measured. Received infinity.")
        for measured in ~np.isnan(piece):
            number = known.setdefault(np.packbits(measured).tobytes(), len(known))
            if number == len(patterns):
                patterns.append(measured)
            of_row.append(number)
    return np.stack(patterns), np.asarray(of_row, np.intp)


def _with_zeros(rows: Rows, at: npt.NDArray[np.intp], n_genes: int) -> Matrix | Rows:
    """These of the rows, 0 where not measured; one row of zeros where there are none."""
    if not len(at):
        return np.zeros((1, n_genes), np.float32)
    return Rows(rows.matrix, rows.rows[at], (*rows.each, _nan_to_zero))


def _nan_to_zero(x: Floats) -> Floats:
    return np.nan_to_num(x, nan=0.0)


def _filled(x: Floats, missing: npt.NDArray[np.bool_]) -> Floats:
    """A copy without NaN: each sample's median stands in, so that the ranks of its other genes keep their order."""
    filled = np.where(missing, np.float32(0), x)
    for row in np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1)):
        filled[row, missing[row]] = np.median(x[row, ~missing[row]])
    return filled
