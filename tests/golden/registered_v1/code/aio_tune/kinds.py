"""Kinds of omics that stand side by side in the columns of a matrix: expression first, each over the same genes.

Importing this module imports NumPy alone, since it travels inside registered models.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from aio_tune.errors import TrialError
from aio_tune.expression import Floats, Indices, Matrix

EXPRESSION: Final = "expression"
"""The kind that every patient has, and that comes first wherever kinds are listed."""
ALL: Final = "all"
"""Stands for every kind that the data have."""


def read_choice(omics: str) -> tuple[str, ...]:
    """The kinds that a choice such as ``expression+methylation`` names; none for ``all``.

    Raises:
        ValueError: it is neither ``all`` nor ``expression`` with further kinds, each once.
    """
    if omics == ALL:
        return ()
    names = tuple(omics.split("+"))
    if EXPRESSION not in names or len(set(names)) < len(names) or "" in names:
        raise ValueError(f"Expected {ALL}, or {EXPRESSION} with further kinds, as in {EXPRESSION}+methylation")
    return names


def choose(omics: str, kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds that a choice means, in the order in which the data have them.

    Args:
        omics: as for ``read_choice``.
        kinds: those that the data have, expression first.

    Raises:
        TrialError: the data do not have one of them.
        ValueError: as ``read_choice``.
    """
    wanted = read_choice(omics) or tuple(kinds)
    unknown = [kind for kind in wanted if kind not in kinds]
    if unknown:
        raise TrialError(
            f"Expected kinds of omics that the dataset has, {', '.join(kinds)}. Received {', '.join(unknown)}.",
            "`aio-tune describe` lists them.",
        )
    return tuple(kind for kind in kinds if kind in wanted)


class SomeKinds:
    """The columns of some kinds of a matrix, side by side, read when they are asked for: itself a matrix.

    Args:
        matrix: shape (n, len(kinds) * genes).
        kinds: what stands in it, in this order.
        chosen: some of these, in the order that the columns are to have.
    """

    def __init__(self, matrix: Matrix, kinds: Sequence[str], chosen: Sequence[str]) -> None:
        self._matrix = matrix
        width = matrix.shape[1] // len(kinds)
        starts = [kinds.index(kind) * width for kind in chosen]
        self._blocks = [slice(start, start + width) for start in starts]
        self.shape = (matrix.shape[0], len(chosen) * width)

    def __getitem__(self, rows: Indices | slice) -> Floats:
        values: Floats = self._matrix[rows]
        return np.concatenate([values[:, block] for block in self._blocks], axis=1)


def select(matrix: Matrix, kinds: Sequence[str], chosen: Sequence[str]) -> Matrix:
    """Some kinds of a matrix; the matrix itself where these are all, in order."""
    return matrix if tuple(kinds) == tuple(chosen) else SomeKinds(matrix, kinds, chosen)
