"""Expression that is read by rows, whether it lies in memory or on the disk.

    Matrix      what all of it is read through: a NumPy array is one
    RowFile     a matrix on the disk
    Rows        some rows of a matrix, and what is to be done with them when they are read
    ArrayState  what is fitted on rows, to and from arrays

What is fitted on training rows reads them in pieces of ``PIECE``, from memory as from the disk: the sums come out the
same to the last bit, and nobody needs a second copy of a matrix that a machine's processes share.
"""

import hashlib
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from aio_tune.errors import DatasetError

Floats = npt.NDArray[np.float32]
"""Values by gene, shape (n, genes); or what became of them, shape (n, ...)."""
Indices = npt.NDArray[np.integer]

PIECE = 64
"""Rows read at once where all are needed: 4 MiB at 16,384 genes."""


class Matrix(Protocol):
    """Expression, float32, shape (n, genes)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, genes)."""

    def __getitem__(self, rows: Any, /) -> Any:
        """These rows, by index, as a new array, float32, shape (len(rows), genes)."""


class RowFile:
    """A matrix on the disk: float32, row after row, nothing else.

    Rows are read with ``pread`` and not through a memory map, whose pages would count as this process's memory for as
    long as there is any left. Can be pickled within one machine.

    Args:
        path: the file.
        shape: (n, genes).

    Raises:
        DatasetError: it is not there, or not of that size.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path = path
        self.shape = shape
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DatasetError(f"Expected expression in {path}. Received: {error.strerror}.") from error
        weakref.finalize(self, os.close, self._file)
        import fcntl  # late: POSIX only, and models are used elsewhere too

        # Says that it is in use, to whoever clears away what is not.
        fcntl.flock(self._file, fcntl.LOCK_SH)
        size, expected = path.stat().st_size, 4 * shape[0] * shape[1]
        if size != expected:
            raise DatasetError(f"Expected {expected:,} bytes in {path}. Received {size:,}.", "Remove it.")

    def __getitem__(self, rows: Indices) -> Floats:
        out = np.empty((len(rows), self.shape[1]), np.float32)
        width = out.strides[0]
        for target, row in zip(out, np.asarray(rows).tolist(), strict=True):
            if not 0 <= row < self.shape[0]:
                raise IndexError(f"Expected rows from 0 to {self.shape[0] - 1}. Received {row}.")
            if os.preadv(self._file, [target.data], row * width) != width:
                raise DatasetError(f"Expected row {row} in {self.path}. Received part of it.", "Remove the file.")
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "shape": self.shape}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a matrix, read when they are asked for.

    Attributes:
        matrix: where they are.
        rows: their indices in it, shape (n,).
        each: what is done with the rows that are read, in this order; each function treats a row by itself.
    """

    matrix: Matrix
    rows: Indices
    each: tuple[Callable[[Floats], Floats], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, genes), whatever ``each`` makes of them."""
        return len(self.rows), self.matrix.shape[1]

    def __getitem__(self, at: Indices | slice) -> Floats:
        """The rows at these places among them, read and treated; a new array."""
        values: Floats = self.matrix[self.rows[at]]
        for treat in self.each:
            values = treat(values)
        return values

    def through(self, treat: Callable[[Floats], Floats]) -> "Rows":
        """The same rows, with one thing more done when they are read."""
        return Rows(self.matrix, self.rows, (*self.each, treat))

    def pieces(self) -> Iterator[Floats]:
        """All rows, ``PIECE`` at a time."""
        for start in range(0, len(self), PIECE):
            yield self[start : start + PIECE]

    def whole(self) -> Floats:
        """All rows at once."""
        return self[:]

    def at_most(self, n: int, seed: int) -> "Rows":
        """All of them, or ``n`` drawn at random without repetition, in the order they have here."""
        if len(self) <= n:
            return self
        drawn = np.sort(np.random.default_rng(seed).choice(len(self), n, replace=False))
        return Rows(self.matrix, self.rows[drawn], self.each)


class ArrayState:
    """What is fitted, as arrays: for frozen dataclasses whose fields are arrays, and their whole fitted state."""

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays that ``from_state`` makes an equal one of."""
        return {part.name: getattr(self, part.name) for part in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of ``state``.

        Raises:
            KeyError: an array is missing.
        """
        return cls(**{part.name: state[part.name] for part in fields(cls)})  # type: ignore[arg-type]


def as_rows(x: Matrix | Rows) -> Rows:
    """All rows of a matrix."""
    return x if isinstance(x, Rows) else Rows(x, np.arange(x.shape[0]))


def profile_hashes(expression: Floats) -> list[str]:
    """SHA-256 (hex) of each row of log2(TPM+1) values, as little-endian float32.

    Equal hashes mean the same profile over the same genes in the same order, whatever the sample is called.

    Args:
        expression: shape (n_samples, n_genes).
    """
    # Adding zero turns -0.0, which compares equal to 0.0, into it.
    return [hashlib.sha256((row + np.float32(0)).astype("<f4").tobytes()).hexdigest() for row in expression]


def low_and_high(rows: Rows) -> tuple[Floats, Floats]:
    """Minimum and maximum of each gene, float32, shape (genes,); read in pieces."""
    low, high = np.inf, -np.inf
    for piece in rows.pieces():
        low, high = np.minimum(low, piece.min(axis=0)), np.maximum(high, piece.max(axis=0))
    return np.asarray(low, np.float32), np.asarray(high, np.float32)


def mean_and_sd(rows: Rows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation (ddof 0) of each gene, float64, shape (genes,); read twice, in pieces."""
    total = squares = np.zeros(rows.shape[1])
    for piece in rows.pieces():
        total = total + piece.sum(axis=0, dtype=np.float64)
    mean = total / len(rows)
    for piece in rows.pieces():
        off = piece - mean
        squares = squares + np.square(off, out=off).sum(axis=0)
    return mean, np.sqrt(squares / len(rows))
