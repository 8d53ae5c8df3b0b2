"""The files of a cohort as bytes or text: plain or gzip, unpacked within bounds, damage named in one line.

Gzip goes through ISA-L (the package isal), which unpacks about three times as fast as zlib; the time to read a cohort
of thousands of samples is mostly that and the reading of numbers. It checks the same checksums.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, isal_zlib

from aio_tune.cohorts.progress import tell
from aio_tune.errors import CohortError

MAX_SWELL = 200
"""How many times its size a gzip file may unpack to: tables of numbers come to 2 to 20 times, a bomb to 1,000."""

MAX_SMALL = 1 << 30
"""Bytes that any gzip file may unpack to, however small it is: a table of zeros swells without harm."""

MAX_UNPACKED = 64 << 30
"""Bytes that no gzip file may unpack to more of: the text of 3.5 billion values."""

MAX_LINE = 256 << 20
"""Bytes of the longest line, plain or unpacked: a line of ten million values is no row of a table."""

_open_gzip: Callable[[BinaryIO], BinaryIO] = igzip.open  # it has no types of its own
_IsalError = cast("type[Exception]", isal_zlib.IsalError)  # which its stub takes for an instance
_GZIP_MAGIC = b"\x1f\x8b"
_TEXT_BUFFER = 1 << 20


def is_gzip(path: Path) -> bool:
    """Whether the file is gzip, by its first bytes: names lie after a download."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turns what Python says of a damaged file into one clear error."""
    try:
        yield
    except (EOFError, zlib.error, _IsalError, gzip.BadGzipFile) as error:
        raise CohortError(
            f"Expected a whole gzip file. Received {path.name}, which is truncated or damaged ({error}).",
            "Download it again.",
        ) from error
    except UnicodeDecodeError as error:
        raise CohortError(
            f"Expected UTF-8 text in {path.name}. Received byte {error.object[error.start]:#04x}."
        ) from error
    except csv.Error as error:
        raise CohortError(
            f"Expected a delimited text table in {path.name}. Received something else ({error})."
        ) from error


@contextmanager
def open_bytes(path: Path) -> Iterator["Unpacked"]:
    """Opens a file, unpacked if it is gzip.

    Raises:
        CohortError: the file is truncated or damaged, unpacks to too much, or has a line that no table has; also
            while the block reads from it.
    """
    with refusing_damage(path), path.open("rb") as file:
        yield Unpacked(path, file)


@contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig", errors: str = "strict") -> Iterator[io.TextIOBase]:
    """Opens plain or gzip text; a byte-order mark is dropped, line ends are left to the csv module.

    Raises:
        CohortError: as ``open_bytes``, or the file is not text.
    """
    with open_bytes(path) as raw:
        buffered = io.BufferedReader(raw, _TEXT_BUFFER)
        with io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline="") as file:
            yield file


class Unpacked(io.RawIOBase):
    """The bytes of a file, unpacked if it is gzip, counted as they are read; ``open_bytes`` makes one.

    ``read(n)`` gives n bytes unless the file ends.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._size = path.stat().st_size
        self._limit: int | None = None
        self._stream: BinaryIO = file
        if is_gzip(path):
            self._limit = min(MAX_UNPACKED, max(MAX_SMALL, MAX_SWELL * self._size))
            self._stream = _open_gzip(file)
        elif path.suffix == ".gz" and self._size > 0:
            raise gzip.BadGzipFile("it does not begin as gzip does")
        self._count = 0
        self._line = 0  # bytes since the last line end

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1; a little ahead of what has been given."""
        return self._file.tell() / self._size if self._size else 1.0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return self.readall()
        piece = self._stream.read(size)
        self._look_at(piece)
        return piece

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def _look_at(self, piece: bytes) -> None:
        """Counts, refuses what is out of bounds, and tells how far the reading is."""
        self._count += len(piece)
        if self._limit is not None and self._count > self._limit:
            raise CohortError(
                f"Expected at most {self._limit:,} bytes of text in {self._path.name}, a gzip file of {self._size:,}. "
                "Received more.",
                "Unpack it yourself if you trust it.",
            )
        end = piece.rfind(b"\n") if b"\n" in piece else piece.rfind(b"\r")
        self._line = self._line + len(piece) if end < 0 else len(piece) - 1 - end
        if self._line > MAX_LINE:
            raise CohortError(
                f"Expected lines of at most {MAX_LINE:,} bytes in {self._path.name}. Received a longer one."
            )
        tell(f"reading {self._path.name}", self._file.tell(), self._size)
