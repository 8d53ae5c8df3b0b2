"""Some rows of a dataset, left where they are until they are needed: read into memory, or put on a node's own disk.

Training asks for rows in random order, and a shard is read as a whole. So a dataset that is too large for memory is
unpacked once per node, row after row, into a file of the node's temporary folder (``TMPDIR``), which all processes of
the node read. It is not part of the dataset format, and goes when nobody uses it any more.
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aio_tune.dataset.opened import AioDataset
from aio_tune.dataset.shards import expression_pieces
from aio_tune.errors import DatasetError
from aio_tune.expression import Floats, Matrix, RowFile, Rows
from aio_tune.files import locked

GIB = 2**30
SPARE = 1.05  # of the room that a row file takes, left for others


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows of a dataset. Can be pickled, and read on any node that sees the dataset under the same path.

    Attributes:
        dataset: where they are.
        unpacked: rows of the dataset that are unpacked together when they are put on a disk; int64, ascending,
            shape (m,).
        at: which of these are meant, int64, shape (n,).
    """

    dataset: AioDataset
    unpacked: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]

    @classmethod
    def of(cls, dataset: AioDataset, rows: npt.NDArray[np.int64]) -> "StoredRows":
        """These rows, ascending, counted over all cohorts in the order of the manifest."""
        return cls(dataset, rows, np.arange(len(rows)))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, kinds of omics * genes): (n, genes) where there is expression alone."""
        return len(self.at), _width(self.dataset)

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return 4 * self.shape[0] * self.shape[1]

    def only(self, at: npt.NDArray[np.int64]) -> "StoredRows":
        """Some of them."""
        return StoredRows(self.dataset, self.unpacked, self.at[at])

    def read(self) -> Floats:
        """Read them into memory; float32, shape as in ``shape``. Takes their memory and hardly more.

        Raises:
            DatasetError: a shard cannot be read.
        """
        rows = self.unpacked[self.at]
        out = np.empty(self.shape, np.float32)
        for first, values in _pieces_with(self.dataset, rows):
            mine = np.flatnonzero((rows >= first) & (rows < first + len(values)))
            out[mine] = values[rows[mine] - first]
        return out

    def open(self) -> Matrix:
        """Them on this machine's disk, unpacked if nobody has done it yet.

        Raises:
            DatasetError: a shard cannot be read, or the disk has no room.
        """
        return Rows(_row_file(self.dataset, self.unpacked), self.at)


def _pieces_with(dataset: AioDataset, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, Floats]]:
    """Of the shards that hold any of the rows, all pieces: number of the first row of each, and its kinds of omics."""
    first = 0
    for shard in dataset.shards():
        if ((rows >= first) & (rows < first + shard.rows)).any():
            for start, values in expression_pieces(dataset.path, shard, len(dataset.genes), dataset.kinds):
                yield first + start, values
        first += shard.rows


def _width(dataset: AioDataset) -> int:
    """Values of a row: the kinds of omics stand side by side."""
    return len(dataset.kinds) * len(dataset.genes)


def _row_file(dataset: AioDataset, rows: npt.NDArray[np.int64]) -> RowFile:
    folder = _folder()
    key = hashlib.sha256(f"{dataset.fingerprint}\n".encode() + np.ascontiguousarray(rows, "<i8").tobytes()).hexdigest()
    path, shape = folder / f"{key[:32]}.f32", (len(rows), _width(dataset))
    with locked(folder / "rows.lock"):
        if not path.exists():
            _remove_unused(folder)
            _unpack(dataset, rows, path)
        return RowFile(path, shape)


def _unpack(dataset: AioDataset, rows: npt.NDArray[np.int64], path: Path) -> None:
    needed, free = 4 * len(rows) * _width(dataset), shutil.disk_usage(path.parent).free
    if free < SPARE * needed:
        raise DatasetError(
            f"Expected {SPARE * needed / GIB:,.1f} GiB of free disk in {path.parent} for a dataset over the memory "
            f"budget. Received {free / GIB:,.1f} GiB.",
            "Point TMPDIR to a larger disk, or raise the budget: --set resources.memory_budget=GIB.",
        )
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            for first, values in _pieces_with(dataset, rows):
                for row in rows[(rows >= first) & (rows < first + len(values))]:
                    file.write(values[row - first].data)
        partial.replace(path)
    except OSError as error:
        raise DatasetError(
            f"Expected to unpack the dataset to {path.parent}. Received: {error.strerror or error}.",
            "Point TMPDIR to another disk.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _folder() -> Path:
    """This user's folder for row files; on leaving, what nobody uses any more is removed from it."""
    folder = Path(tempfile.gettempdir()) / f"aio_tune-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise DatasetError(
            f"Expected a folder that only this user can read or write at {folder}. Received another one.",
            "Remove it, or point TMPDIR elsewhere.",
        )
    atexit.unregister(forget_unused)  # once is enough
    atexit.register(forget_unused)
    return folder


def forget_unused(wait: float = 0.0) -> None:
    """Remove this machine's row files that no process has open.

    Args:
        wait: seconds to wait at most for processes that are about to end.
    """
    folder = Path(tempfile.gettempdir()) / f"aio_tune-{os.getuid()}"
    if not folder.is_dir():
        return
    ends = time.monotonic() + wait
    while True:
        with locked(folder / "rows.lock"):
            left = _remove_unused(folder)
        if not left or time.monotonic() >= ends:
            return
        time.sleep(0.2)


def _remove_unused(folder: Path) -> int:
    """Remove them, under the lock; returns how many are still in use."""
    # Who unpacks holds the lock, so what is unfinished now is a dead process's, and takes room from the next one.
    for path in folder.glob("*.partial"):
        path.unlink()
    used = 0
    for path in folder.glob("*.f32"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                used += 1
                continue
            path.unlink()
    return used
