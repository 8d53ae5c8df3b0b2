"""Making or replacing a folder or a file in one step, so that nobody ever sees half of it."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aio_tune.dataset.manifest import MANIFEST
from aio_tune.errors import DatasetError


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse a target that must not be replaced; worth calling before long work.

    Raises:
        DatasetError: ``out`` is a dataset and ``overwrite`` is False, or it is something else but an empty folder.
    """
    if not out.exists() or _is_empty_folder(out):
        return
    stranger = _stranger(out)
    if stranger:
        raise DatasetError(
            f"Expected a new folder or an AIO dataset at {out}. Received one that holds {stranger}.",
            "Choose another --out: what is there is not touched.",
        )
    if not overwrite:
        raise DatasetError(
            f"Expected a new folder at {out}. Received an AIO dataset that is there already.",
            "Choose another --out, or remove the old dataset first.",
        )


@contextmanager
def new_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``out`` when the block ends and is gone when it fails.

    Raises:
        DatasetError: as ``check_target``, asked again at the end.
        OSError: the disk refused.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(out)
    partial = _sibling(out, "partial")
    partial.mkdir()
    with _held(partial, os.O_RDONLY):
        try:
            yield partial
            check_target(out, overwrite)
            _put_in_place(partial, out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_file(path: Path, last_check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place when the block ends and is gone when it fails.

    It is there, empty and locked: write into it, and move no other in its place.

    Args:
        path: the file to make or replace; its parents are made too.
        last_check: raises if someone else has been faster; asked when the file is whole.

    Raises:
        OSError: the disk refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for dead in _siblings(path, "partial"):
        if dead.is_file():
            _remove_dead(dead, os.O_RDWR, Path.unlink)
    partial = _sibling(path, "partial")
    with _held(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL):
        try:
            yield partial
            sync(partial)
            last_check()
            os.replace(partial, path)  # noqa: PTH105  (says that an existing file is replaced atomically)
            sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def sync(*paths: Path) -> None:
    """Wait until files, or the lists of names that folders are, are on the disk."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _put_in_place(partial: Path, out: Path) -> None:
    if not out.exists() or _is_empty_folder(out):
        partial.rename(out)  # POSIX replaces an empty folder
        sync(out.parent)
        return
    old = _sibling(out, "old")
    out.rename(old)
    try:
        partial.rename(out)
    except BaseException:
        old.rename(out)
        raise
    sync(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _remove_stale(out: Path) -> None:
    """Remove what writers that were killed have left: unfinished folders, and replaced ones."""
    for dead in _siblings(out, "partial"):
        if dead.is_dir():
            _remove_dead(dead, os.O_RDONLY, shutil.rmtree)
    if out.exists():  # else the replaced one may be all there is
        for old in _siblings(out, "old"):
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _held(partial: Path, flags: int) -> Iterator[None]:
    """A lock that dies with the process, however it dies: that tells the next writer that this is a dead one's."""
    lock = os.open(partial, flags, 0o666)
    try:
        with suppress(OSError):  # a file system without locks: the next writer cannot lock it either, and leaves it
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_dead(partial: Path, flags: int, remove: Callable[[Path], object]) -> None:
    """Remove what a writer has left, unless it still holds it; what cannot be removed stands in nobody's way."""
    with suppress(OSError):
        lock = os.open(partial, flags)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(partial)
        finally:
            os.close(lock)


def _sibling(out: Path, purpose: str) -> Path:
    return out.with_name(f".{out.name}.{secrets.token_hex(4)}.{purpose}")


def _siblings(out: Path, purpose: str) -> list[Path]:
    """All that have a name of ``_sibling``'s, which no other target's sibling has."""
    return list(out.parent.glob(f".{_escaped(out.name)}.{'[0-9a-f]' * 8}.{purpose}"))


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None


def _stranger(path: Path) -> str:
    """The name of something in a folder that no dataset holds; empty for a dataset, even a damaged one."""
    if not path.is_dir():
        return "no folder but a file"
    for entry in sorted(path.iterdir()):
        if entry.name == "shards" and entry.is_dir() and not entry.is_symlink():
            for shard in sorted(entry.iterdir()):
                if shard.suffix != ".parquet" or not shard.is_file():
                    return f"shards/{shard.name}"
        elif entry.name != MANIFEST or not entry.is_file():
            return entry.name
    return ""
