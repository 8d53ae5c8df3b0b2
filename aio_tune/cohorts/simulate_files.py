"""How simulated files are written: the same values give the same bytes."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path


def write_csv(path: Path, *, header: list[str], columns: Sequence[object]) -> None:
    """One sequence per column; cells are written as they are, so none may hold a comma."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(i) for i in range(len(columns))]
    table = pa.table(dict(zip(names, map(pa.array, columns), strict=True)))
    text = io.BytesIO()
    text.write((",".join(header) + "\n").encode())
    arrow_csv.write_csv(table, text, arrow_csv.WriteOptions(include_header=False, quoting_style="none"))
    write_gzip(path, text.getvalue())


def write_gzip(path: Path, content: bytes) -> None:
    """The time of writing is left out of the file, so that the same seed gives the same bytes."""
    path.write_bytes(gzip.compress(content, compresslevel=5, mtime=0))
