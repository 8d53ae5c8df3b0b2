"""Fitted layouts on disk: in a search, every trial would fit the same K of them again."""

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from aio_tune.files import locked
from aio_tune.layout.base import Genes, Layout, LayoutMaker, Shape


def cached(maker: LayoutMaker, shape: Shape, x_train: Genes, seed: int, folder: Path) -> Layout:
    """The layout from ``folder``, or made and put there.

    Processes that want the same layout at the same time wait for the first one instead of fitting it too. A file
    that cannot be read, or holds another layout than it should, is made anew.

    Args:
        maker: makes it.
        shape: of its pictures.
        x_train: expression of the training rows, float32, shape (n, genes).
        seed: of the maker.
        folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{maker.name}-{cache_key(maker, x_train, seed)}.npz"
    known = _read(path, maker.name, shape)
    if known is not None:
        return known
    with locked(path.with_suffix(".lock")):
        known = _read(path, maker.name, shape)  # somebody else may have made it while we waited
        if known is not None:
            return known
        layout = maker.make(x_train, seed)
        _write(path, layout)
        return layout


def cache_key(maker: LayoutMaker, x_train: Genes, seed: int) -> str:
    """SHA-256 (hex) of all that a layout depends on: maker, its version, training rows and seed."""
    rows = np.ascontiguousarray(x_train, dtype="<f4")
    digest = hashlib.sha256(f"aio_tune layout {maker.name} {maker.version}, seed {seed}, {rows.shape}\n".encode())
    digest.update(rows.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _read(path: Path, name: str, shape: Shape) -> Layout | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            layout = Layout.from_state(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return layout if (layout.name, layout.shape) == (name, shape) else None


def _write(path: Path, layout: Layout) -> None:
    """Write beside ``path`` and rename, so that nobody ever reads half a file."""
    handle, partial = tempfile.mkstemp(prefix=path.stem, suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **layout.state())  # type: ignore[arg-type]
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
