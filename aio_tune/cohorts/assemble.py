"""Several cohorts on one scale, with the same genes in genomic order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.base import Cohort
from aio_tune.cohorts.positions import GenePositions
from aio_tune.cohorts.units import Unit, to_common
from aio_tune.errors import CohortError

_CHUNK = 256  # samples converted at once


@dataclass(frozen=True)
class GeneTable:
    """Genes in genomic order.

    Attributes:
        symbols: unique, length n_genes.
        chroms: ``"1"`` to ``"22"``, ``"X"``, ``"Y"``; length n_genes.
        tss: transcription starts in bases, int64, shape (n_genes,).
        source: name of the file the positions come from.
        source_sha256: hex digest of that file.
    """

    symbols: tuple[str, ...]
    chroms: tuple[str, ...]
    tss: npt.NDArray[np.int64]
    source: str = ""
    source_sha256: str = ""

    def __len__(self) -> int:
        return len(self.symbols)


@dataclass(frozen=True)
class Assembly:
    """Cohorts that can be compared gene by gene.

    Attributes:
        cohorts: all in ``log2(TPM+1)``, all with ``genes.symbols`` as their genes, in that order.
        genes: the genes they share.
        dropped: reason -> number of genes of at least one cohort that are not in ``genes`` for that reason.
    """

    cohorts: list[Cohort]
    genes: GeneTable
    dropped: dict[str, int]


def assemble(cohorts: Sequence[Cohort], positions: GenePositions, n_genes: int | None = None) -> Assembly:
    """Brings cohorts to the common scale, the shared genes and genomic order.

    Each cohort is scaled to a million over all genes of its own file, before genes are selected: what one cohort lacks
    does not change the values of another.

    Args:
        cohorts: at least one, of different names.
        positions: where the genes lie.
        n_genes: keep at most the first so many in genomic order; None keeps all.

    Raises:
        CohortError: no cohort, two of one name, no gene in common, none with a position, or none asked for.
    """
    names = [cohort.name for cohort in cohorts]
    if not cohorts or len(set(names)) < len(names):
        raise CohortError(f"Expected cohorts of different names. Received {', '.join(names) or 'none'}.")
    shared = set(cohorts[0].genes).intersection(*(cohort.genes for cohort in cohorts[1:]))
    everywhere = set().union(*(cohort.genes for cohort in cohorts))
    if not shared:
        examples = "; ".join(f"{c.name} has {', '.join(c.genes[:3])}" for c in cohorts)
        raise CohortError(
            f"Expected genes that all cohorts share. Received none in common: {examples}.",
            "Are these gene symbols in every file?",
        )
    ordered = positions.in_order(shared)
    if not ordered:
        raise CohortError(
            f"Expected positions of the {len(shared):,} shared genes in {positions.source}. Received none of them.",
            "Name another file with --annotation.",
        )
    if n_genes is not None and n_genes < 1:
        raise CohortError(f"Expected at least 1 gene to be asked for. Received {n_genes:,}.")
    kept = tuple(ordered[:n_genes])
    dropped = {
        "not in every cohort": len(everywhere) - len(shared),
        "no position on chromosomes 1-22, X, Y": len(shared) - len(ordered),
        "beyond the number of genes asked for": len(ordered) - len(kept),
    }
    genes = GeneTable(
        kept,
        tuple(positions[symbol].chrom for symbol in kept),
        np.asarray([positions[symbol].tss for symbol in kept], dtype=np.int64),
        positions.source,
        positions.sha256,
    )
    return Assembly([_on_common_scale(cohort, kept) for cohort in cohorts], genes, dropped)


def _on_common_scale(cohort: Cohort, genes: tuple[str, ...]) -> Cohort:
    column = {gene: i for i, gene in enumerate(cohort.genes)}
    take = np.asarray([column[gene] for gene in genes], dtype=np.intp)
    values = np.empty((len(cohort.expression), len(genes)), dtype=np.float32)
    # A few samples at a time: the whole matrix on the common scale with all its genes is never held.
    for start in range(0, len(values), _CHUNK):
        rows = slice(start, start + _CHUNK)
        values[rows] = to_common(cohort.expression[rows], cohort.unit)[:, take]
    return replace(cohort, expression=values, genes=genes, unit=Unit.LOG2_TPM_1)
