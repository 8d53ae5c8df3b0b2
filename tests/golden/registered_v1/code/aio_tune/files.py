"""What several rooms do with files. It imports the standard library alone: it travels with models."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that dies with the process, however it dies. Its empty file stays: removing it would race."""
    import fcntl  # late: POSIX only, and models are used elsewhere too

    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
