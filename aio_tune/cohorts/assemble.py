"""Several cohorts on one scale, with the same genes in genomic order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.ahead import ahead
from aio_tune.cohorts.base import Cohort
from aio_tune.cohorts.clinical import plural
from aio_tune.cohorts.names import GeneNames, rename_genes
from aio_tune.cohorts.omics import OmicsUnit, common_units, measured_columns
from aio_tune.cohorts.positions import GenePositions
from aio_tune.cohorts.progress import tell
from aio_tune.cohorts.units import Unit, to_common, without_expression
from aio_tune.errors import CohortError
from aio_tune.tasks import Task

_CHUNK = 64  # samples converted at once: of 30,000 genes some 16 MB as float64, which the allocator keeps and reuses


@dataclass(frozen=True)
class GeneTable:
    """Genes in genomic order.

    Attributes:
        symbols: unique, length n_genes.
        chroms: ``"1"`` to ``"22"``, ``"X"``, ``"Y"``; length n_genes.
        tss: transcription starts in bases, int64, shape (n_genes,).
        source: name of the file the positions come from.
        source_sha256: hex digest of that file.
        aliases: name of the table of gene aliases; empty if there was none.
        aliases_sha256: hex digest of it.
    """

    symbols: tuple[str, ...]
    chroms: tuple[str, ...]
    tss: npt.NDArray[np.int64]
    source: str = ""
    source_sha256: str = ""
    aliases: str = ""
    aliases_sha256: str = ""

    def __len__(self) -> int:
        return len(self.symbols)


@dataclass(frozen=True)
class Assembly:
    """Cohorts that can be compared gene by gene.

    Attributes:
        cohorts: all in ``log2(TPM+1)``, all with ``genes.symbols`` as their genes, in that order.
        genes: the genes they share.
        dropped: reason -> number of genes of at least one cohort that are not in ``genes`` for that reason.
        dropped_genes: the same, by symbol, in alphabetical order.
    """

    cohorts: list[Cohort]
    genes: GeneTable
    dropped: dict[str, int]
    dropped_genes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The questions whose labels every cohort's tables have."""
        return self.cohorts[0].tasks

    @property
    def kinds(self) -> dict[str, OmicsUnit]:
        """Every kind beside expression that any of the cohorts has, in order of appearance, and its unit.

        Raises:
            CohortError: two cohorts have a kind in different units.
        """
        return common_units((cohort.name, cohort.omics) for cohort in self.cohorts)


def assemble(
    cohorts: Sequence[Cohort],
    positions: GenePositions,
    n_genes: int | None = None,
    *,
    names: GeneNames | None = None,
    in_place: bool = False,
) -> Assembly:
    """Brings cohorts to the common scale, the shared genes and genomic order.

    Each cohort is scaled to a million over all genes of its own file, before genes are selected: what one cohort lacks
    does not change the values of another.

    Args:
        cohorts: at least one, of different names.
        positions: where the genes lie.
        n_genes: keep at most the first so many in genomic order; None keeps all.
        names: what else genes are called, so that cohorts of different years share more of them.
        in_place: write over the cohorts' own expression where that is possible, so that no second matrix is needed;
            the cohorts given are of no use afterwards.

    Raises:
        CohortError: no cohort, two of one name, no gene in common, none with a position, none asked for, a sample
            without any expression, or a kind of omics in different units.
    """
    called = [cohort.name for cohort in cohorts]
    if not cohorts or len(set(called)) < len(called):
        raise CohortError(f"Expected cohorts of different names. Received {', '.join(called) or 'none'}.")
    if any(cohort.tasks != cohorts[0].tasks for cohort in cohorts):
        raise CohortError("Expected cohorts that were read with the same tasks. Received others.")
    common_units((cohort.name, cohort.omics) for cohort in cohorts)
    cohorts = [rename_genes(cohort, names or GeneNames(), positions) for cohort in cohorts]
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
        "not in every cohort": tuple(sorted(everywhere - shared)),
        "no position on chromosomes 1-22, X, Y": tuple(sorted(shared.difference(ordered))),
        "beyond the number of genes asked for": tuple(sorted(ordered[len(kept) :])),
    }
    genes = GeneTable(
        kept,
        tuple(positions[symbol].chrom for symbol in kept),
        np.asarray([positions[symbol].tss for symbol in kept], dtype=np.int64),
        positions.source,
        positions.sha256,
        names.source if names else "",
        names.sha256 if names else "",
    )
    counts = {reason: len(symbols) for reason, symbols in dropped.items()}
    return Assembly([_on_common_scale(cohort, kept, in_place) for cohort in cohorts], genes, counts, dropped)


def _on_common_scale(cohort: Cohort, genes: tuple[str, ...], in_place: bool) -> Cohort:
    column = {gene: i for i, gene in enumerate(cohort.genes)}
    take = np.asarray([column[gene] for gene in genes], dtype=np.intp)
    given = cohort.expression
    n_samples = len(given)

    # A few samples at a time: the whole matrix on the common scale with all its genes is never held.
    def convert(start: int) -> npt.NDArray[np.float32]:
        rows = slice(start, start + _CHUNK)
        try:
            return np.take(to_common(given[rows], cohort.unit, selected=cohort.selected), take, axis=1)
        except CohortError as error:
            nothing = int(without_expression(given[rows], cohort.unit)[0])
            raise CohortError(
                f"Expected expression in every sample of cohort {cohort.name}. "
                f"Received none in {cohort.clinical.index[start + nothing]!r}."
            ) from error

    # In place, the result fills the front of the given memory: a chunk is written when it and all before it have been
    # read, and with no more genes than there were it does not reach into those behind it.
    memory = (
        given.reshape(-1) if in_place and given.flags.c_contiguous else np.empty(n_samples * len(genes), np.float32)
    )
    values = memory[: n_samples * len(genes)].reshape(n_samples, len(genes))
    start = 0
    for chunk in ahead(convert, range(0, n_samples, _CHUNK)):
        values[start : start + len(chunk)] = chunk
        start += len(chunk)
        tell(f"converting {cohort.name}", start, n_samples)
    scaled = replace(cohort, expression=values, genes=genes, unit=Unit.LOG2_TPM_1)
    return _with_genes_of_omics(scaled, cohort, take)


def _with_genes_of_omics(scaled: Cohort, cohort: Cohort, take: npt.NDArray[np.intp]) -> Cohort:
    """The cohort with the chosen genes of its further kinds, and a note of those that a kind lacks."""
    omics = {kind: one.select_genes(take) for kind, one in cohort.omics.items()}
    notes = []
    for kind, one in omics.items():
        lacking = int((~measured_columns(one.values)).sum())
        if lacking:
            notes.append(f"{cohort.name}: {plural(lacking, 'gene')} of {len(take):,} without {kind}.")
    return replace(scaled, omics=omics, notes=(*cohort.notes, *notes))
