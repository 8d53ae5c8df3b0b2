"""One piece of an expression table: whole lines of text -> numbers, or the name of the first bad cell.

Three ways, each for what the one before it leaves. The quick one splits the lines at every delimiter and hands all
cells to Arrow at once. It is for lines of the plain kind, which nearly every file has throughout, and gives up at the
first sign of anything else (a quoted number, a blank line, a space beside a number, a row too long). Arrow's CSV
reader, which knows all that, is next; both read numbers with the same function, to the same bits. What that refuses,
and what is not finite, is read cell by cell, only to name the first fault by its row and column.
"""

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.streams import refusing_damage
from aio_tune.errors import CohortError

_NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?[ \t]*", re.ASCII | re.IGNORECASE)
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_SHOWN = 60  # letters of a cell in a message: behind an open quote it may hold the rest of the block


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are made.

    Attributes:
        path: the file, for messages.
        header: the name of every column.
        is_number: whether it holds numbers, for every column; at least one does not.
        delimiter: a comma or a tab.
    """

    path: Path
    header: tuple[str, ...]
    is_number: tuple[bool, ...]
    delimiter: str


@dataclass(frozen=True)
class Parsed:
    """The lines of a block.

    Attributes:
        numbers: float32, finite, shape (n_rows, n_number_columns).
        text: for every column of text its cells, without quotes and without space around them.
    """

    numbers: npt.NDArray[np.float32]
    text: list[list[str]]


def parse_block(layout: Layout, block: bytes, first_line: int) -> Parsed:
    """Reads whole lines.

    Args:
        layout: how they are made.
        block: the lines, with their line ends; the last one may lack it.
        first_line: number in the file of the block's first line, from 1.

    Raises:
        CohortError: a row is too short or too long, a cell is no finite number, or the bytes are not UTF-8.
    """
    parsed = _parse_plain(layout, block)
    if parsed is None:
        parsed = _parse_csv(layout, block, first_line)
    if not np.isfinite(parsed.numbers).all():
        raise _fault(layout, block, first_line, "a value that is not finite")
    return parsed


def _parse_plain(layout: Layout, block: bytes) -> Parsed | None:
    """The quick way; None for lines that are not of the plain kind."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
        if b"\r" in block:
            return None
    if not block.endswith(b"\n"):
        block += b"\n"
    width = len(layout.header)
    data = np.frombuffer(block, np.uint8)
    is_end = data == ord("\n")
    rows = int(np.count_nonzero(is_end))
    is_end |= data == ord(layout.delimiter)
    ends = np.flatnonzero(is_end)
    # As many line ends as rows, and one behind every width-th cell: then there is none anywhere else.
    if ends.size != rows * width or not (data[ends[width - 1 :: width]] == ord("\n")).all():
        return None
    text = _plain_text(layout, block, ends.reshape(rows, width))
    if text is None:
        return None
    # The cells as one Arrow array: their bytes end to end without the delimiters, and where each begins. Columns of
    # text are marked as missing, so that nobody tries to read numbers from them.
    offsets = np.zeros(ends.size + 1, np.int32)
    offsets[1:] = ends - np.arange(ends.size)
    valid = np.packbits(np.tile(layout.is_number, rows), bitorder="little")
    joined = block.translate(None, layout.delimiter.encode() + b"\n")
    buffers = [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(joined)]
    cells = pa.Array.from_buffers(pa.string(), ends.size, buffers)
    try:
        numbers = pc.cast(cells, pa.float32())
    except pa.ArrowInvalid:
        return None
    table = np.frombuffer(numbers.buffers()[1], np.float32, ends.size).reshape(rows, width)
    if all(layout.is_number[1:]):
        return Parsed(table[:, 1:], text)
    return Parsed(table[:, np.asarray(layout.is_number)], text)


def _plain_text(layout: Layout, block: bytes, ends: npt.NDArray[np.intp]) -> list[list[str]] | None:
    """The cells of text; quotes around them are taken off. None where there are other quotes, or bytes not UTF-8."""
    quotes = block.count(b'"') if b'"' in block else 0
    out = []
    for i, is_number in enumerate(layout.is_number):
        if is_number:
            continue
        starts = np.concatenate([[0], ends[:-1, -1] + 1]) if i == 0 else ends[:, i - 1] + 1
        cells = [block[start:end] for start, end in zip(starts.tolist(), ends[:, i].tolist(), strict=True)]
        if quotes:
            for row, cell in enumerate(cells):
                if cell.startswith(b'"') and cell.endswith(b'"') and cell.count(b'"') == 2:
                    cells[row] = cell[1:-1]
                    quotes -= 2
        try:
            out.append([cell.decode().strip() for cell in cells])
        except UnicodeDecodeError:
            return None
    return None if quotes else out


def _parse_csv(layout: Layout, block: bytes, first_line: int) -> Parsed:
    """The way that knows all of CSV."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(i) for i in range(len(layout.header))]
    numbers_at = [i for i, flag in enumerate(layout.is_number) if flag]
    text_at = [i for i, flag in enumerate(layout.is_number) if not flag]
    if not block.strip(b"\r\n"):
        return Parsed(np.empty((0, len(numbers_at)), np.float32), [[] for _ in text_at])
    types = {name: pa.float32() if flag else pa.string() for name, flag in zip(names, layout.is_number, strict=True)}
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(block),
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=layout.delimiter),
            # No word stands for a missing number: an empty cell or NA is an error, not a silent NaN.
            convert_options=arrow_csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise _fault(layout, block, first_line, str(error).splitlines()[0][:200]) from error
    numbers = np.empty((table.num_rows, len(numbers_at)), np.float32)
    for target, i in enumerate(numbers_at):
        numbers[:, target] = table.column(i).to_numpy()
    return Parsed(numbers, [[cell.strip() for cell in table.column(i).to_pylist()] for i in text_at])


def _fault(layout: Layout, block: bytes, first_line: int, otherwise: str) -> CohortError:
    """The first fault of a block, by row and column."""
    name_at = layout.is_number.index(False)
    path, header = layout.path, layout.header
    with refusing_damage(path):
        reader = csv.reader(io.StringIO(block.decode(), newline=""), delimiter=layout.delimiter)
        for row in reader:
            if not row:
                continue
            line = first_line - 1 + reader.line_num
            row_name = row[name_at].strip() if len(row) > name_at else ""
            if len(row) != len(header):
                return CohortError(
                    f"Expected {len(header)} cells in every row of {path.name}. "
                    f"Received {len(row)} in row {row_name[:_SHOWN]!r} (line {line})."
                )
            for column, is_number, cell in zip(header, layout.is_number, row, strict=True):
                if is_number and not _is_finite_float32(cell):
                    return CohortError(
                        f"Expected a number in every cell of {path.name}. "
                        f"Received {cell[:_SHOWN]!r} in row {row_name[:_SHOWN]!r}, column {column!r} (line {line})."
                    )
    return CohortError(f"Expected a table of numbers in {path.name}. Received {otherwise}.")


def _is_finite_float32(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None and math.isfinite(value := float(cell)) and abs(value) <= _FLOAT32_MAX
