"""An ``.h5ad`` file, opened to be read: names, columns, the matrix; one clear line where it is not what it should be.

The elements of the file are read by anndata's own ``read_elem``, those that a cohort needs and no others: a column that
this anndata does not know stops nobody who does not ask for it. The ``AnnData`` class itself is not used: before
0.13, which needs Python 3.12, it does not write with pandas 3.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from aio_tune.errors import CohortError

Axis = Literal["obs", "var"]

MAX_SWELL: Final = 200
"""How many times its size a file may unpack to: expression comes to 2 to 30 times, also sparse; a bomb to 1,000."""

MAX_SMALL: Final = 1 << 30
"""Bytes that any file may unpack to, however small it is."""

_BLOCK_BYTES = 32 << 20  # of the matrix as stored, read at once
_COLUMNS = frozenset(
    ("array", "string-array", "categorical", "nullable-integer", "nullable-boolean", "nullable-string-array")
)
_DAMAGE = (
    *(OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError, OverflowError),
    *(SystemError, MemoryError),
)
"""What h5py and anndata were seen to raise over damaged files."""


class H5adFile:
    """An open file; made by `open_h5ad`."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self._file = file
        self._names: dict[Axis, list[str]] = {}

    def names(self, axis: Axis) -> list[str]:
        """Names of the samples (obs) or genes (var), as text.

        Raises:
            CohortError: there are none, or they cannot be read.
        """
        if axis not in self._names:
            group = self._table(axis)
            with _refusing_damage(self.path):
                index = _read(group).index if _is_old(group) else self._element(group[group.attrs["_index"]])
                self._names[axis] = _text(index)
            if not self._names[axis]:
                raise CohortError(f"Expected at least one row in {axis} of {self.path.name}. Received none.")
        return self._names[axis]

    def columns(self, axis: Axis) -> list[str]:
        """Names of the columns of obs or var."""
        group = self._table(axis)
        with _refusing_damage(self.path):
            return [str(name) for name in group.attrs["column-order"]]

    def column(self, axis: Axis, name: str) -> list[str]:
        """A column of obs or var as text: missing is empty, true is 1, whole numbers have no decimals.

        Raises:
            CohortError: there is no such column, or it cannot be read.
        """
        known = self.columns(axis)
        if name not in known:
            raise CohortError(
                f"Expected a column {name!r} in {axis} of {self.path.name}. Received {', '.join(known) or 'none'}."
            )
        group = self._table(axis)
        with _refusing_damage(self.path):
            cells = _text(_read(group)[name] if _is_old(group) else self._element(group[name]))
        rows = len(self.names(axis))
        if len(cells) != rows:
            raise CohortError(
                f"Expected {rows} cells in column {name!r} of {axis} of {self.path.name}. Received {len(cells)}."
            )
        return cells

    def where(self, layer: str | None) -> str:
        """What messages call ``X``, or a layer."""
        return f"X of {self.path.name}" if layer is None else f"layer {layer!r} of {self.path.name}"

    def matrix(self, layer: str | None = None, gaps: bool = False) -> npt.NDArray[np.float32]:
        """``X``, or a layer, whether it is stored dense or sparse.

        Takes the matrix in memory once, and once more as it is stored where it is sparse.

        Args:
            layer: which; None is ``X``.
            gaps: whether NaN is allowed.

        Returns:
            float32, finite (or NaN), shape (n_samples, n_genes): the lengths of obs and var.

        Raises:
            CohortError: it is missing, of another shape, too large for the file, not of numbers, or has a value that
                is not finite (sample and gene named).
        """
        where = self.where(layer)
        shape = len(self.names("obs")), len(self.names("var"))
        with _refusing_damage(self.path):
            stored = self._stored(layer)
            if stored.dtype.kind not in "fiu":
                raise CohortError(f"Expected numbers in {where}. Received {stored.dtype}.")
            if stored.shape != shape:
                raise CohortError(
                    f"Expected {shape[0]} samples x {shape[1]} genes in {where}. Received {stored.shape}."
                )
            _refuse_swell(self.path, 4 * shape[0] * shape[1])
            values = np.empty(shape, np.float32)
            step = max(1, _BLOCK_BYTES // (stored.dtype.itemsize * shape[1]))
            for start in range(0, shape[0], step):
                block = stored[start : start + step]
                with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused as such
                    values[start : start + step] = block if isinstance(block, np.ndarray) else block.toarray()
        for row, profile in enumerate(values):
            wrong = np.isinf(profile) if gaps else ~np.isfinite(profile)
            if wrong.any():
                column = int(np.flatnonzero(wrong)[0])
                sample, gene = self.names("obs")[row], self.names("var")[column]
                raise CohortError(
                    f"Expected a finite number in every cell of {where}. "
                    f"Received {profile[column]} for sample {sample!r}, gene {gene!r}."
                )
        return values

    def uns(self, *keys: str) -> Any:
        """A value of ``uns``, by the keys that lead to it; None where there is none."""
        with _refusing_damage(self.path):
            item = self._file.get("/".join(("uns", *keys)))
            return None if item is None else _read(item)

    def _table(self, axis: Axis) -> Any:
        item = self._file.get(axis)
        with _refusing_damage(self.path):
            kind = None if item is None else item.attrs.get("encoding-type")
        if kind != "dataframe":
            raise CohortError(
                f"Expected {axis} in {self.path.name} as anndata 0.7 and later write it. "
                f"Received {'none' if item is None else 'another form'}.",
                "Read the file and write it again with a newer anndata.",
            )
        return item

    def _stored(self, layer: str | None) -> Any:
        """The matrix as it lies in the file: with dtype, shape and rows by slice."""
        import h5py

        item = self._file.get("X" if layer is None else f"layers/{layer}")
        kind = None if item is None else item.attrs.get("encoding-type")
        if kind is None and isinstance(item, h5py.Dataset):
            kind = "array"  # which anndata 0.7 does not say
        if kind in ("csr_matrix", "csc_matrix"):
            sparse = _read(item)
            sparse.check_format()  # else a damaged index would be followed out of the matrix
            return sparse.tocsr()
        if kind != "array" or getattr(item, "shape", None) is None:
            layers = ", ".join(self._file.get("layers", ())) or "none"
            received = "none" if kind in (None, "null") else f"encoding {kind!r}"
            raise CohortError(
                f"Expected a dense or sparse matrix as {self.where(layer)}. Received {received}; its layers: {layers}."
            )
        return item

    def _element(self, item: Any) -> Any:
        kind = item.attrs.get("encoding-type")
        if kind not in _COLUMNS:
            raise CohortError(
                f"Expected text, numbers or categories as {item.name} of {self.path.name}. Received encoding {kind!r}."
            )
        return _read(item)


@contextmanager
def open_h5ad(path: Path) -> Iterator[H5adFile]:
    """Opens an ``.h5ad`` file.

    Raises:
        CohortError: the file is truncated, damaged or something else, points to other files, or unpacks to too much.
    """
    import h5py

    with _refusing_damage(path):
        file = h5py.File(path, "r", locking="best-effort")  # a file system without locks can be read from, too
    with file:
        with _refusing_damage(path):
            _refuse_tricks(path, file)
        yield H5adFile(path, file)


def _refuse_tricks(path: Path, file: Any) -> None:
    """Nothing is read from files that the user did not name, and nothing swells beyond reason."""
    import h5py

    elsewhere: list[str] = []
    unpacked = 0

    def look(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            elsewhere.append(name)

    def weigh(name: str, item: Any) -> None:
        nonlocal unpacked
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                elsewhere.append(name)
            unpacked += (item.size or 0) * item.dtype.itemsize

    # Errors are raised here and not in what is called from HDF5, where they would lose their meaning.
    file.visititems_links(look)
    file.visititems(weigh)
    if elsewhere:
        raise CohortError(f"Expected all data of {path.name} inside it. Received {elsewhere[0]}, kept in another file.")
    _refuse_swell(path, unpacked)


def _refuse_swell(path: Path, unpacked: int) -> None:
    limit = max(MAX_SMALL, MAX_SWELL * path.stat().st_size)
    if unpacked > limit:
        raise CohortError(
            f"Expected at most {limit:,} bytes of values in {path.name}, a file of {path.stat().st_size:,}. "
            f"Received {unpacked:,}."
        )


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    """Turns what h5py and anndata say of a damaged file into one clear error."""
    try:
        yield
    except _DAMAGE as error:
        told = error.__cause__ if isinstance(error, SystemError) and error.__cause__ else error  # HDF5 called Python
        reason = str(told).splitlines()[0].rstrip(".") if str(told) else type(told).__name__
        raise CohortError(
            f"Expected a whole .h5ad file. Received {path.name}, which is truncated, damaged or of another kind "
            f"({reason})."
        ) from error


def _read(item: Any) -> Any:
    from anndata._io.specs.registry import IORegistryError  # it has no public name
    from anndata.io import read_elem

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anndata would have users rewrite the older files that it reads well
            return read_elem(item)
    except IORegistryError as error:
        raise ValueError(str(error)) from error


def _is_old(table: Any) -> bool:
    """Whether a table is as anndata 0.7 wrote it: its columns do not say what they are, so it is read as a whole."""
    return bool(table.attrs["encoding-version"] == "0.1.0")


def _text(values: Any) -> list[str]:
    return [_cell(value) for value in pd.Series(values).array]


def _cell(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode().strip()
    if pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()
