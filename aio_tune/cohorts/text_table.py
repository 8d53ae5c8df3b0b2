"""Expression tables in text files: comma or tab separated, plain or gzip, read fast and refused clearly.

The fast way is Arrow's parallel CSV reader, block by block, straight into float32. Whatever it refuses, and whatever is
not finite, is read a second time line by line, only to name the first bad cell by its row and column.
"""

import csv
import gzip
import hashlib
import io
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from aio_tune.errors import CohortError

_BLOCK_BYTES = 16 << 20  # holds one row of 60,000 genes many times over
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class TextTable:
    """A table of numbers with some columns of text.

    Attributes:
        values: float32, finite, shape (n_number_columns, n_rows): one file column per row, because the cohorts' files
            have samples in columns and the rest of the package has them in rows.
        columns: names of the number columns, unique.
        text: the columns of text by name; ``""`` is a name like another.
        row_names: the first text column of the file.
    """

    values: npt.NDArray[np.float32]
    columns: tuple[str, ...]
    text: dict[str, list[str]]
    row_names: list[str]


def sha256_of(path: Path) -> str:
    """Hex digest of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_gzip(path: Path) -> bool:
    """Whether the file is gzip, by its first bytes: names lie after a download."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turns what Python says of a damaged file into one clear error."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
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
def open_text(path: Path, encoding: str = "utf-8-sig", errors: str = "strict") -> Iterator[io.TextIOBase]:
    """Opens plain or gzip text; a byte-order mark is dropped, line ends are left to the csv module.

    Raises:
        CohortError: the file is truncated, damaged or not text; also while the block reads from it.
    """
    with refusing_damage(path):
        if is_gzip(path):
            with gzip.open(path, "rt", encoding=encoding, errors=errors, newline="") as file:
                yield file
        else:
            if path.suffix == ".gz" and path.stat().st_size > 0:
                raise gzip.BadGzipFile("it does not begin as gzip does")
            with path.open(encoding=encoding, errors=errors, newline="") as file:
                yield file


def read_text_table(path: Path, is_number: Callable[[str], bool] | None = None) -> TextTable:
    """Reads a delimited table whose first column names the rows.

    Byte-order marks, CRLF and quoted fields are read properly; so is a header one cell short, as R's ``write.table``
    leaves it. The delimiter is a tab or a comma, whichever the header uses.

    Args:
        path: the file, plain or gzip.
        is_number: tells by its header name whether a column holds numbers; by default all but the first do.

    Raises:
        CohortError: the file is empty, truncated, ragged, has a duplicate column, or has a cell that is not a finite
            number (row and column named).
    """
    header, delimiter, skip = _read_header(path)
    number = [i > 0 if is_number is None else is_number(name) for i, name in enumerate(header)]
    columns = [name for name, flag in zip(header, number, strict=True) if flag]
    _refuse_duplicates(columns, path)
    text_at = [i for i, flag in enumerate(number) if not flag]
    if not columns or not text_at:
        raise CohortError(
            f"Expected a column that names the rows and columns of numbers in {path.name}. "
            f"Received the header {header[:4]}."
        )
    values, text = _read_body(path, header, number, delimiter, skip)
    return TextTable(values, tuple(columns), {header[i]: text[i] for i in text_at}, text[text_at[0]])


def _read_header(path: Path) -> tuple[list[str], str, int]:
    """The column names, the delimiter, and how many lines come before the data."""
    if not path.is_file():
        raise CohortError(f"Expected the file {path.name}. Received none of that name in {path.parent}.")
    with open_text(path) as file:
        skipped = 0
        for line in file:
            if line.strip():
                break
            skipped += 1
        else:
            raise CohortError(f"Expected an expression table. Received {path.name}, which is empty.")
        delimiter = "\t" if "\t" in line and (line.count("\t") >= line.count(",")) else ","
        header = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
        first_row = next((row for row in csv.reader(file, delimiter=delimiter) if row), None)
    if first_row is None:
        raise CohortError(f"Expected rows of numbers. Received {path.name}, which has a header only.")
    if len(first_row) == len(header) + 1:  # R's write.table names no column for the row names
        header = ["", *header]
    return header, delimiter, skipped + 1


def _refuse_duplicates(columns: Sequence[str], path: Path) -> None:
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise CohortError(f"Expected each sample once in {path.name}. Received {twice[0]!r} more than once.")
    if "" in columns:
        raise CohortError(
            f"Expected a name for every column of {path.name}. Received column {columns.index('') + 2} without."
        )


def _read_body(
    path: Path, header: list[str], number: list[bool], delimiter: str, skip: int
) -> tuple[npt.NDArray[np.float32], dict[int, list[str]]]:
    """Number columns, shape (n_number_columns, n_rows), and text columns by their index."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(i) for i in range(len(header))]
    types = {name: pa.float32() if flag else pa.string() for name, flag in zip(names, number, strict=True)}
    numbers_at = [i for i, flag in enumerate(number) if flag]
    text: dict[int, list[str]] = {i: [] for i, flag in enumerate(number) if not flag}
    blocks: list[npt.NDArray[np.float32]] = []
    try:
        with pa.input_stream(str(path), compression="gzip" if is_gzip(path) else None) as stream:
            reader = arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=skip, block_size=_BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
                # No word stands for a missing number: an empty cell or NA is an error, not a silent NaN.
                convert_options=arrow_csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
            )
            for batch in reader:
                block = np.empty((len(numbers_at), batch.num_rows), dtype=np.float32)
                for target, i in enumerate(numbers_at):
                    block[target] = batch.column(i).to_numpy(zero_copy_only=False)
                if not np.isfinite(block).all():
                    _name_the_fault(path, header, number, delimiter, "a value that is not finite")
                blocks.append(block)
                for i, cells in text.items():
                    cells.extend(cell.strip() for cell in batch.column(i).to_pylist())
    except (pa.ArrowInvalid, OSError) as error:
        # OSError: Arrow's word for a truncated or damaged gzip stream.
        _name_the_fault(path, header, number, delimiter, str(error).splitlines()[0][:200], cause=error)
    return _join(blocks), text


def _join(blocks: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The blocks side by side; each is let go as soon as it is copied, so that the peak is twice the matrix."""
    values = np.empty((len(blocks[0]), sum(block.shape[1] for block in blocks)), dtype=np.float32)
    blocks.reverse()
    end = 0
    while blocks:
        block = blocks.pop()
        values[:, end : end + block.shape[1]] = block
        end += block.shape[1]
    return values


def _name_the_fault(
    path: Path,
    header: list[str],
    number: list[bool],
    delimiter: str,
    otherwise: str,
    *,
    cause: BaseException | None = None,
) -> NoReturn:
    """Reads the file line by line up to the first fault and raises ``CohortError`` for it."""
    name_at = number.index(False)
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        rows = (row for row in reader if row)
        for row in islice(rows, 1, None):
            row_name = row[name_at] if len(row) > name_at else ""
            if len(row) != len(header):
                raise CohortError(
                    f"Expected {len(header)} cells in every row of {path.name}. "
                    f"Received {len(row)} in row {row_name!r} (line {reader.line_num})."
                ) from cause
            for column, flag, cell in zip(header, number, row, strict=True):
                if flag and not _is_finite_float32(cell):
                    raise CohortError(
                        f"Expected a number in every cell of {path.name}. "
                        f"Received {cell!r} in row {row_name!r}, column {column!r} (line {reader.line_num})."
                    ) from cause
    raise CohortError(f"Expected a table of numbers in {path.name}. Received {otherwise}.") from cause


def _is_finite_float32(cell: str) -> bool:
    try:
        value = float(cell)
    except ValueError:
        return False
    return math.isfinite(value) and abs(value) <= float(np.finfo(np.float32).max)
