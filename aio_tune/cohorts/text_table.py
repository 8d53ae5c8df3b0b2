"""Expression tables in text files: comma or tab separated, plain or gzip, read fast and refused clearly.

The file is unpacked piece by piece, cut into blocks of whole lines, and read in threads straight to float32; see
``aio_tune.cohorts.blocks`` for what is done with a block.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.ahead import ahead
from aio_tune.cohorts.blocks import Layout, Parsed, parse_block
from aio_tune.cohorts.growing import GrowingMatrix
from aio_tune.cohorts.streams import is_gzip, open_bytes, open_text, refusing_damage
from aio_tune.errors import CohortError

__all__ = ["TextTable", "is_gzip", "open_text", "put_first", "read_text_table", "refuse_repeated", "refusing_damage"]

_BLOCK_BYTES = 4 << 20  # small enough for a processor's cache, large enough that Python's share does not show
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)")


@dataclass(frozen=True)
class TextTable:
    """A table of numbers with some columns of text.

    Attributes:
        values: float32, finite, shape (n_number_columns, n_rows): one file column per row, because the cohorts' files
            have samples in columns and the rest of the package has them in rows.
        columns: names of the number columns; unique, unless the reader was asked to take repeated ones.
        text: the columns of text by name; ``""`` is a name like another.
        row_names: the first text column of the file.
    """

    values: npt.NDArray[np.float32]
    columns: tuple[str, ...]
    text: dict[str, list[str]]
    row_names: list[str]


def read_text_table(path: Path, is_number: Callable[[str], bool] | None = None, *, repeated: bool = False) -> TextTable:
    """Reads a delimited table whose first column names the rows.

    Byte-order marks, CRLF and quoted fields are read properly; so is a header one cell short, as R's ``write.table``
    leaves it. The delimiter is a tab or a comma, whichever the header uses. Takes the memory of the values, and some
    20 MB for every processor.

    Args:
        path: the file, plain or gzip.
        is_number: tells by its header name whether a column holds numbers; by default all but the first do.
        repeated: whether number columns may share a name, as genes may and samples may not.

    Raises:
        CohortError: the file is empty, truncated, ragged, unpacks to more than it should, has a number column without
            a name or, unless ``repeated``, two of one name, or has a cell that is not a finite number (row and column
            named).
    """
    header, delimiter, skip = _read_header(path)
    number = [i > 0 if is_number is None else is_number(name) for i, name in enumerate(header)]
    columns = [name for name, flag in zip(header, number, strict=True) if flag]
    _refuse_unnamed(columns, path)
    if not repeated:
        refuse_repeated(columns, path)
    text_at = [i for i, flag in enumerate(number) if not flag]
    if not columns or not text_at:
        raise CohortError(
            f"Expected a column that names the rows and columns of numbers in {path.name}. "
            f"Received the header {header[:4]}."
        )
    values, text = _read_body(Layout(path, tuple(header), tuple(number), delimiter), skip)
    return TextTable(
        values, tuple(columns), {header[i]: cells for i, cells in zip(text_at, text, strict=True)}, text[0]
    )


def put_first(table: TextTable, columns: Sequence[str]) -> TextTable:
    """The same table with these columns first, in this order.

    The rows of ``table.values`` change places in its own memory: no second matrix is made, and ``table`` itself is of
    no use afterwards.

    Args:
        table: the table to take over.
        columns: some of its number columns, each once.
    """
    at = {name: i for i, name in enumerate(table.columns)}
    order = [at.pop(name) for name in columns]
    order += at.values()
    moved = [False] * len(order)
    for start in range(len(order)):
        if moved[start]:
            continue
        saved = table.values[start].copy()
        row = start
        while order[row] != start:  # along the circle of rows that each take the next one's values
            table.values[row] = table.values[order[row]]
            moved[row] = True
            row = order[row]
        table.values[row] = saved
        moved[row] = True
    return replace(table, columns=tuple(table.columns[i] for i in order))


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


def refuse_repeated(samples: Sequence[str], path: Path) -> None:
    """Refuse a table in which a sample stands twice.

    Raises:
        CohortError: naming the first one.
    """
    twice = [name for name, count in Counter(samples).items() if count > 1]
    if twice:
        raise CohortError(f"Expected each sample once in {path.name}. Received {twice[0]!r} more than once.")


def _refuse_unnamed(columns: Sequence[str], path: Path) -> None:
    if "" in columns:
        raise CohortError(
            f"Expected a name for every column of {path.name}. Received column {columns.index('') + 2} without."
        )


def _read_body(layout: Layout, skip: int) -> tuple[npt.NDArray[np.float32], list[list[str]]]:
    """Numbers, shape (n_number_columns, n_rows), and the columns of text; of the lines behind the first ``skip``."""
    matrix = GrowingMatrix(sum(layout.is_number))
    text: list[list[str]] = [[] for flag in layout.is_number if not flag]

    def parse(block: _Block) -> tuple[Parsed, float]:
        return parse_block(layout, block.lines, block.first_line), block.share

    for parsed, share in ahead(parse, _blocks(layout.path, skip)):
        matrix.append(parsed.numbers, share)
        for cells, more in zip(text, parsed.text, strict=True):
            cells.extend(more)
    return matrix.finish(), text


@dataclass(frozen=True)
class _Block:
    """Whole lines: their bytes, the number of the first one from 1, and how much of the file lies before their end."""

    lines: bytes
    first_line: int
    share: float


def _blocks(path: Path, skip: int) -> Iterator[_Block]:
    """The lines behind the first ``skip``."""
    line = 1
    for lines, share in _whole_lines(path):
        start = 0
        while line <= skip and (found := _LINE.match(lines, start)):
            start = found.end()
            line += 1
        rest = lines[start:]
        if rest:
            yield _Block(rest, line, share)
            line += _count_lines(rest)


def _whole_lines(path: Path) -> Iterator[tuple[bytes, float]]:
    """The file in pieces that end where a line ends, and how much of the file has been read."""
    rest = b""
    with open_bytes(path) as file:
        while piece := file.read(_BLOCK_BYTES):
            # Lines may end in a carriage return alone; one at the very end may be the first half of CRLF.
            end = 1 + (piece.rfind(b"\n") if b"\n" in piece else piece.rfind(b"\r", 0, -1))
            if end:
                yield b"".join((rest, memoryview(piece)[:end])), file.share
                rest = piece[end:]
            else:
                rest += piece
    if rest:
        yield rest, 1.0


def _count_lines(lines: bytes) -> int:
    if b"\r" in lines:
        return len(lines.splitlines())
    return int(np.count_nonzero(np.frombuffer(lines, np.uint8) == ord("\n")))  # ten times as fast as bytes.count
