"""What several rooms do with files. It imports the standard library alone: it travels with models."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_private(folder: Path) -> None:
    """Make a folder, and whatever is missing above it, for its owner alone; one that is there stays as it is.

    (``Path.mkdir`` gives its mode to the last folder only.)
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[IO[str]]:
    """A text file (UTF-8, line ends as given) that has its name once all is written and on the disk, or never.

    A file that is there is replaced and hands on its permissions.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    unfinished: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="", delete=False
        ) as file:
            unfinished = Path(file.name)
            yield file.file
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(path.stat().st_mode & 0o777 if path.is_file() else 0o644)  # temporary files are private
        unfinished.replace(path)
        unfinished = None
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that is whole or not there (see ``written_whole``).

    Raises:
        OSError: it cannot be written.
    """
    with written_whole(path) as file:
        json.dump(content, file, indent=1)


def read_json(path: Path) -> Any:
    """What a JSON file holds; None if it is not there, or is no JSON: cut short, say, on a full disk.

    For what can be made anew; where it matters why a file cannot be read, read it in place.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that dies with the process, however it dies. Its empty file stays: removing it would race."""
    import fcntl  # late: POSIX only, and models are used elsewhere too

    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
