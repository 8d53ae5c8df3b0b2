"""Where genes lie on the genome: read from a small table, a GTF annotation or an AnnData file.

Only chromosomes 1 to 22, X and Y count. A symbol on several of them (the pseudo-autosomal genes of X and Y) is placed
on the first in that order; several entries on one chromosome and strand become one, from the smallest start to the
largest end. Coordinates are as in the file (GTF: from 1, both ends included); only their order matters here.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aio_tune.cohorts.text_table import open_text
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of

CHROMOSOMES = (*(str(i) for i in range(1, 23)), "X", "Y")
"""In genomic order."""

_RANK = {chrom: i for i, chrom in enumerate(CHROMOSOMES)}
_TSV_COLUMNS = ("symbol", "chrom", "start", "end", "strand")
_FEATURES = ("gene", "transcript", "exon")  # the first that a file has is used
_ATTRIBUTE = {name: re.compile(rf'\b{name} "([^"]+)"') for name in ("gene_name", "gene_id")}
_PATTERNS = (("gene_positions*.tsv", "gene_positions*.tsv.gz"), ("*.gtf", "*.gtf.gz"), ("*.h5ad",))  # in this order


@dataclass(frozen=True)
class Position:
    """One gene's place: chromosome (``"1"`` to ``"22"``, ``"X"``, ``"Y"``), start and end in bases, strand + or -."""

    chrom: str
    start: int
    end: int
    strand: str

    @property
    def tss(self) -> int:
        """Transcription start: the end of the gene when it lies on the minus strand."""
        return self.end if self.strand == "-" else self.start

    @property
    def order(self) -> tuple[int, int]:
        """Sort key of the genomic order: chromosome, then transcription start."""
        return _RANK[self.chrom], self.tss


@dataclass(frozen=True)
class GenePositions:
    """Positions by gene symbol.

    Attributes:
        by_symbol: symbol -> position.
        source: name of the file they were read from.
        sha256: hex digest of that file.
        by_id: Ensembl gene id without version -> symbol, where the file has both.
    """

    by_symbol: dict[str, Position]
    source: str
    sha256: str
    by_id: dict[str, str] = field(default_factory=dict)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self.by_symbol

    def __getitem__(self, symbol: str) -> Position:
        return self.by_symbol[symbol]

    def __len__(self) -> int:
        return len(self.by_symbol)

    def in_order(self, symbols: Iterable[str]) -> list[str]:
        """Those of the symbols that have a position: by chromosome, transcription start, symbol."""
        known = [symbol for symbol in symbols if symbol in self.by_symbol]
        return sorted(known, key=lambda symbol: (*self.by_symbol[symbol].order, symbol))


def read_positions(path: Path) -> GenePositions:
    """Reads a GTF (GENCODE; or UCSC's, with transcripts but no genes) or a table, plain or gzip, or an AnnData file.

    The table is tab separated, with the header ``symbol chrom start end strand``; columns of an AnnData file as in
    ``h5ad_positions``.

    Raises:
        CohortError: the file is missing, damaged, of another form, or has no gene on chromosomes 1 to 22, X and Y.
    """
    if not path.is_file():
        raise CohortError(f"Expected a file of gene positions. Received {path}, which does not exist.")
    by_id: dict[str, str] = {}
    by_symbol = _merge(_entries(path, by_id))
    if not by_symbol:
        raise CohortError(f"Expected genes on chromosomes 1 to 22, X and Y in {path.name}. Received none.")
    return GenePositions(by_symbol, path.name, sha256_of(path), by_id)


def find_positions(folders: Sequence[Path]) -> Path:
    """The file of gene positions in the folders: ``gene_positions*.tsv*`` before ``*.gtf*`` before ``*.h5ad``.

    Raises:
        CohortError: there is none, or there are several with different content.
    """
    for patterns in _PATTERNS:
        found = [path for folder in folders for pattern in patterns for path in sorted(folder.glob(pattern))]
        if len({sha256_of(path) for path in found}) > 1:
            names = ", ".join(str(path) for path in found)
            raise CohortError(f"Expected one file of gene positions. Received {names}.", "Name one with --annotation.")
        if found:
            return found[0]
    where, known = ", ".join(map(str, folders)), ", ".join(pattern for patterns in _PATTERNS for pattern in patterns)
    raise CohortError(
        f"Expected a file of gene positions ({known}) in {where}. Received none.",
        "Name one with --annotation, e.g. a GENCODE GTF.",
    )


_Entry = tuple[str, Position]


def _entries(path: Path, by_id: dict[str, str]) -> Iterable[_Entry]:
    """What the file holds; a GTF's gene ids are put into ``by_id``."""
    if path.suffix == ".h5ad":
        from aio_tune.cohorts.h5ad_positions import h5ad_entries  # it needs this module

        return h5ad_entries(path)
    return _gtf_entries(path, by_id) if ".gtf" in path.suffixes else _tsv_entries(path)


def rank_of(chrom: str) -> int:
    """Place of a chromosome, with or without ``chr``, in genomic order; behind them all for anything else."""
    return _RANK.get(chrom.removeprefix("chr").upper(), len(_RANK))


def _merge(entries: Iterable[_Entry]) -> dict[str, Position]:
    """One position per symbol, as the module's docstring says."""
    best: dict[str, Position] = {}
    for symbol, new in entries:
        old = best.get(symbol)
        if old is None or _RANK[new.chrom] < _RANK[old.chrom]:
            best[symbol] = new
        elif (new.chrom, new.strand) == (old.chrom, old.strand):
            best[symbol] = Position(old.chrom, min(old.start, new.start), max(old.end, new.end), old.strand)
    return best


def _position(place: Sequence[str], path: Path, line: int) -> Position | None:
    """From chromosome, start, end and strand; None for scaffolds, patches and the mitochondrion."""
    chrom, start, end, strand = place
    name = chrom.removeprefix("chr").upper()
    if name not in _RANK:
        return None
    try:
        first, last = int(start), int(end)
    except ValueError:
        first, last = 1, 0
    if first > last or first < 0 or strand not in ("+", "-"):
        raise CohortError(
            f"Expected start, end and strand of a gene in {path.name}, line {line}. "
            f"Received {start!r}, {end!r}, {strand!r}."
        )
    return Position(name, first, last, strand)


def _tsv_entries(path: Path) -> Iterator[_Entry]:
    with open_text(path) as file:
        reader = csv.reader(file, delimiter="\t")
        header = [cell.strip().lower() for cell in next(reader, [])]
        absent = [column for column in _TSV_COLUMNS if column not in header]
        if absent:
            raise CohortError(
                f"Expected the columns {', '.join(_TSV_COLUMNS)} in {path.name}. Received {', '.join(header)}."
            )
        take = [header.index(column) for column in _TSV_COLUMNS]
        for row in reader:
            if not row:
                continue
            if len(row) < len(header):
                raise CohortError(
                    f"Expected {len(header)} cells in every row of {path.name}. "
                    f"Received {len(row)} in line {reader.line_num}."
                )
            symbol, *place = (row[i].strip() for i in take)
            position = _position(place, path, reader.line_num)
            if position is not None and symbol:
                yield symbol, position


def _gtf_entries(path: Path, by_id: dict[str, str]) -> list[_Entry]:
    """Entries of the coarsest feature that the file has."""
    entries: dict[str, list[_Entry]] = {feature: [] for feature in _FEATURES}
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.startswith("#") or not line.strip():
                continue
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != 9:
                raise CohortError(f"Expected 9 columns in {path.name}, line {number}. Received {len(fields)}.")
            chrom, _, feature, start, end, _, strand, _, attributes = fields
            # Genes come before their transcripts: once one is seen, the finer features are of no use.
            if feature not in entries or (feature != "gene" and entries["gene"]):
                continue
            name, identifier = (_ATTRIBUTE[key].search(attributes) for key in ("gene_name", "gene_id"))
            match = name or identifier
            position = _position((chrom, start, end, strand), path, number)
            if match and position is not None:
                entries[feature].append((match[1], position))
                if name and identifier and identifier[1].startswith("ENSG"):
                    by_id[identifier[1].partition(".")[0]] = name[1]
    return next((entries[feature] for feature in _FEATURES if entries[feature]), [])
