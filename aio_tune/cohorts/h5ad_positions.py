"""Where genes lie on the genome, from var of an AnnData file.

Columns ``chromosome`` and either ``tss`` (transcription start) or ``start``, ``end`` and ``strand`` (+ and -,
or 1 and -1).
"""

from collections.abc import Iterator
from pathlib import Path

from aio_tune.cohorts.h5ad import gene_symbols
from aio_tune.cohorts.h5ad_description import find_description
from aio_tune.cohorts.h5ad_file import open_h5ad
from aio_tune.cohorts.positions import CHROMOSOMES, Position
from aio_tune.errors import CohortError

_STRANDS = {"+": "+", "-": "-", "1": "+", "-1": "-"}
_COLUMNS = ("start", "end", "strand")


def h5ad_entries(path: Path) -> Iterator[tuple[str, Position]]:
    """Symbol and position of every gene of var on chromosomes 1 to 22, X and Y; genes without a position are left out.

    Of a file with ``tss`` alone, start and end are both that, and the strand is +: the order is the same.

    Raises:
        CohortError: var has no such columns, or a cell is no position (gene and cells named).
    """
    with open_h5ad(path) as file:
        symbols = gene_symbols(file, find_description(path.parent))
        columns = file.columns("var")
        short = "tss" in columns
        wanted = ("chromosome", "tss") if short else ("chromosome", *_COLUMNS)
        absent = [column for column in wanted if column not in columns]
        if absent:
            raise CohortError(
                f"Expected chromosome and tss, or chromosome, start, end and strand, as columns of var of {path.name}. "
                f"Received {', '.join(columns) or 'none'}.",
                "Name a file of gene positions with --annotation.",
            )
        chromosomes, *places = (file.column("var", column) for column in wanted)
    for symbol, chromosome, place in zip(symbols, chromosomes, zip(*places, strict=True), strict=True):
        name = chromosome.removeprefix("chr").upper()
        if symbol is None or name not in CHROMOSOMES or not all(place):
            continue
        start, end, strand = (place[0], place[0], "+") if short else place
        if not (start.isdecimal() and end.isdecimal() and int(start) <= int(end) and strand in _STRANDS):
            raise CohortError(
                f"Expected {' '.join(wanted[1:])} of a gene in var of {path.name}. "
                f"Received {' '.join(place)} for {symbol!r}."
            )
        yield symbol, Position(name, int(start), int(end), _STRANDS[strand])
