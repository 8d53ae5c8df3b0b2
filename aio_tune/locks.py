"""Locks between processes of one machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that dies with the process, however it dies. Its empty file stays: removing it would race."""
    import fcntl  # late: POSIX only, and models are used elsewhere too

    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
