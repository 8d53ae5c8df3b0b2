"""Counts of reads become TPM, for which the length of each gene must be known.

    TPM = (counts / length) / sum(counts / length) * 1e6        (Li and Dewey, BMC Bioinformatics 12:323, 2011)

Lengths come from a table (tab separated, plain or gzip: a column of genes, then one called ``length``, in bases), or
from a GTF, where a gene is as long as all its exons together, bases of several exons counted once. Of a gene on several
chromosomes (the pseudo-autosomal genes of X and Y) only the exons on that one count where ``positions`` places it.
"""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.clinical import plural, some
from aio_tune.cohorts.positions import rank_of
from aio_tune.cohorts.text_table import open_text
from aio_tune.errors import CohortError

COUNTS: Final = "counts"
"""Stands for counts of reads where a description names the unit of a file."""

MAX_WITHOUT_LENGTH: Final = 0.1
"""Share of the reads that may be of genes without a length. All other TPM are too high by what is lost: of a tenth by
11 %, the counting error of a gene with 80 reads. Who loses more has the lengths of another annotation."""

_MANY_GENES, _LEAST_MOST = 200, 25.0  # of so many genes some have more reads than that
_ATTRIBUTES = tuple(re.compile(rf'\b{name} "([^"]+)"') for name in ("gene_name", "gene_id"))


def read_lengths(path: Path) -> dict[str, float]:
    """Gene -> length in bases, more than 0; Ensembl ids with and without version, a GTF's genes by symbol too.

    Raises:
        CohortError: the file is missing, damaged or of another form, or a length is no number over 0.
    """
    if not path.is_file():
        raise CohortError(f"Expected a file of gene lengths. Received {path}, which does not exist.")
    return _from_gtf(path) if ".gtf" in path.suffixes else _from_table(path)


def length_of(name: str, lengths: Mapping[str, float]) -> float:
    """Length of a gene in bases, of whichever version its Ensembl id is; infinite where ``read_lengths`` found none."""
    return lengths.get(name, lengths.get(_without_version(name), math.inf))


def counts_to_tpm(
    values: npt.NDArray[np.float32],
    lengths: npt.NDArray[np.float64],
    samples: Sequence[str],
    genes: Sequence[str],
    where: str,
) -> list[str]:
    """Write TPM over counts.

    Args:
        values: counts, shape (n_samples, n_genes).
        lengths: bases, shape (n_genes,); infinite where unknown, which makes the gene's TPM 0: leave it out.
        samples: their names, for messages.
        genes: likewise.
        where: the file's name, likewise.

    Returns:
        What the user must be told.

    Raises:
        CohortError: the values cannot be counts, genes with over ``MAX_WITHOUT_LENGTH`` of the reads have no length,
            or a sample has no counts.
    """
    if float(values.min()) < 0:
        raise CohortError(f"Expected counts in {where}. Received values down to {float(values.min()):.4g}.")
    if values.shape[1] >= _MANY_GENES and float(values.max()) < _LEAST_MOST:
        raise CohortError(
            f"Expected counts in {where}. Received values up to {float(values.max()):.4g} only: "
            "these look like logarithms."
        )
    notes = _without_length(values, np.flatnonzero(np.isinf(lengths)), genes, where)
    for sample, row in zip(samples, values, strict=True):
        rate = row / lengths
        total = rate.sum()
        if not total > 0:
            raise CohortError(f"Expected counts in every sample of {where}. Received none for {sample!r}.")
        row[:] = rate * (1e6 / total)
    return notes


def _without_length(
    values: npt.NDArray[np.float32], unknown: npt.NDArray[np.intp], genes: Sequence[str], where: str
) -> list[str]:
    """What the user must be told of the genes of unknown length."""
    if len(unknown) == len(genes):
        raise CohortError(f"Expected lengths of the genes of {where}. Received none of any of them.")
    reads = values.sum(axis=0, dtype=np.float64)
    lost = float(reads[unknown].sum() / max(reads.sum(), 1.0))
    by_reads = unknown[np.argsort(-reads[unknown], kind="stable")]
    named = some([genes[i] for i in by_reads])
    if lost > MAX_WITHOUT_LENGTH:
        raise CohortError(
            f"Expected lengths of genes with nearly all reads of {where}. "
            f"Received none for {plural(len(unknown), 'gene')} with {100 * lost:.1f} % of the reads: {named}.",
            "Give lengths of the annotation that the reads were counted with; remove rows that are no genes.",
        )
    if not len(unknown):
        return []
    return [
        f"{plural(len(unknown), 'gene')} of {where} without a length left out, with {100 * lost:.1f} % of the reads, "
        f"by which all other TPM are too high if they are genes: {named}."
    ]


def _from_table(path: Path) -> dict[str, float]:
    lengths: dict[str, float] = {}
    with open_text(path) as file:
        reader = csv.reader(file, delimiter="\t")
        header = [cell.strip().lower() for cell in next(reader, [])]
        if len(header) < 2 or "length" not in header[1:]:
            raise CohortError(
                f"Expected a column of genes and one called length in {path.name}. Received {', '.join(header)}."
            )
        at = header.index("length")
        for row in reader:
            if not row:
                continue
            cell = row[at].strip() if len(row) > at else ""
            try:
                length = float(cell)
            except ValueError:
                length = math.nan
            if not (length > 0 and math.isfinite(length)):
                raise CohortError(
                    f"Expected a length in bases in {path.name}, line {reader.line_num}. Received {cell!r}."
                )
            lengths[row[0].strip()] = length
    return _with_plain_ids(lengths)


def _from_gtf(path: Path) -> dict[str, float]:
    exons: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.startswith("#") or "\texon\t" not in line:
                continue
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != 9 or not (fields[3].isdecimal() and fields[4].isdecimal()):
                raise CohortError(f"Expected start and end of an exon in {path.name}, line {number}.")
            for pattern in _ATTRIBUTES:
                if match := pattern.search(fields[8]):
                    exons[match[1]].append((fields[0], int(fields[3]), int(fields[4])))
    if not exons:
        raise CohortError(f"Expected exons in {path.name}. Received none.")
    return _with_plain_ids({name: float(_covered(_on_first_chromosome(parts))) for name, parts in exons.items()})


def _with_plain_ids(lengths: Mapping[str, float]) -> dict[str, float]:
    return {_without_version(name): length for name, length in lengths.items()} | dict(lengths)


def _without_version(name: str) -> str:
    """An Ensembl id without its version; any other name as it is."""
    return name.partition(".")[0] if name.startswith("ENSG") else name


def _on_first_chromosome(parts: Sequence[tuple[str, int, int]]) -> Iterable[tuple[int, int]]:
    """Start and end of those stretches that lie on the first chromosome, in genomic order."""
    first = min(dict.fromkeys(chromosome for chromosome, _, _ in parts), key=rank_of)
    return ((start, end) for chromosome, start, end in parts if chromosome == first)


def _covered(parts: Iterable[tuple[int, int]]) -> int:
    """Bases of these stretches of one chromosome, both ends included, each counted once."""
    total, reached = 0, 0
    for start, end in sorted(parts):
        total += max(0, end - max(start, reached + 1) + 1)
        reached = max(reached, end)
    return total
