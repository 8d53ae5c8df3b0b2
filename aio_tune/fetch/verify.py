"""Whether a file is what it should be."""

import gzip
import zlib
from pathlib import Path

from aio_tune.errors import FetchError
from aio_tune.fetch.record import Fetched
from aio_tune.files import sha256_of

_CHUNK = 1 << 20


class DamagedError(Exception):
    """A gzip file is not whole; never leaves this package."""


def check_gzip(path: Path, limit: int) -> None:
    """Reads a gzip file to its end, where the checksum of its content is; needs little memory, whatever it holds.

    Args:
        path: the file.
        limit: largest content, bytes.

    Raises:
        DamagedError: it is cut off, altered, empty, or not gzip.
        FetchError: its content is larger than ``limit``.
    """
    size = 0
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise FetchError(
                        f"Expected at most {limit:,} bytes inside {path.name.removesuffix('.part')}. Received more, "
                        f"from {path.stat().st_size:,} compressed ones.",
                        "Raise --limit if this is what you want.",
                    )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedError(str(error)) from error
    if size == 0:
        raise DamagedError("there is nothing in it")


def is_unchanged(path: Path, fetched: Fetched) -> bool:
    """Whether the file is there and has the bytes that were fetched."""
    return path.is_file() and path.stat().st_size == fetched.size and sha256_of(path) == fetched.sha256
