"""One name for each gene: old symbols, aliases and Ensembl ids become the symbols that the gene positions use.

The alias table is a file of the user's, tab separated, plain or gzip, and of either form:

    HGNC's complete set     columns symbol, alias_symbol, prev_symbol and ensembl_gene_id, several names between "|"
    any other               columns alias and symbol

A name is changed only where there is no doubt: it has no position of its own, the table gives it to one gene, and that
gene has a position. Genes without one count too: COX2 is an alias of the mitochondrial MT-CO2 as well as of PTGS2.
Former symbols go before aliases, since HGNC gives a former symbol to one gene and an alias to many. What is a gene's
symbol today is no other gene's name; where the positions are older, it becomes the gene's former symbol, if no other
gene has, or had, that one.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from aio_tune.cohorts.base import Cohort
from aio_tune.cohorts.clinical import plural, some
from aio_tune.cohorts.positions import GenePositions
from aio_tune.cohorts.text_table import open_text
from aio_tune.cohorts.units import sum_duplicates
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of

PATTERNS = ("hgnc_complete_set*.txt", "hgnc_complete_set*.txt.gz", "gene_aliases*.tsv", "gene_aliases*.tsv.gz")
"""Names by which an alias table is found in a cohort's folder."""

_Synonyms = dict[str, set[str]]


@dataclass(frozen=True)
class GeneNames:
    """What else genes are called.

    Attributes:
        former: former symbol or Ensembl id -> today's symbols of the genes that had, or have, it.
        aliases: name -> today's symbols of the genes that it is an alias of.
        earlier: today's symbol -> the gene's former symbols and Ensembl ids that lead to no other gene.
        source: name of the file; empty if there is none.
        sha256: hex digest of it.
    """

    former: _Synonyms = field(default_factory=dict)
    aliases: _Synonyms = field(default_factory=dict)
    earlier: _Synonyms = field(default_factory=dict)
    source: str = ""
    sha256: str = ""

    def symbol_of(self, name: str, positions: GenePositions) -> str:
        """The symbol by which the positions know a gene; the name itself where there is none, or any doubt."""
        if name in positions:
            return name
        identifier = name.partition(".")[0] if name.startswith("ENSG") else ""
        by_id = positions.by_id.get(identifier)
        if by_id is not None and by_id in positions:
            return by_id
        wanted = identifier or name
        if wanted in self.earlier:
            known = [symbol for symbol in self.earlier[wanted] if symbol in positions]
            return known[0] if len(known) == 1 else name
        for symbols in (self.former.get(wanted), self.aliases.get(wanted)):
            if symbols:
                symbol, *others = symbols
                return symbol if symbol in positions and not others else name
        return name


def find_names(folders: Sequence[Path]) -> Path | None:
    """The alias table in the folders; None where there is none.

    Raises:
        CohortError: there are several with different content.
    """
    found = [path for folder in folders for pattern in PATTERNS for path in sorted(folder.glob(pattern))]
    if len({sha256_of(path) for path in found}) > 1:
        raise CohortError(
            f"Expected one table of gene aliases. Received {', '.join(map(str, found))}.", "Name one with --aliases."
        )
    return found[0] if found else None


def read_names(path: Path) -> GeneNames:
    """Reads an alias table; the module's docstring says which forms there are.

    Raises:
        CohortError: the file is missing, damaged, or of another form.
    """
    if not path.is_file():
        raise CohortError(f"Expected a table of gene aliases. Received {path}, which does not exist.")
    former: defaultdict[str, set[str]] = defaultdict(set)
    aliases: defaultdict[str, set[str]] = defaultdict(set)
    had: defaultdict[str, set[str]] = defaultdict(set)
    with open_text(path) as file:
        reader = csv.DictReader(file, delimiter="\t")
        columns = {name.strip().lower(): name for name in reader.fieldnames or ()}
        is_hgnc = {"symbol", "alias_symbol", "prev_symbol"} <= columns.keys()
        if not is_hgnc and not {"alias", "symbol"} <= columns.keys():
            raise CohortError(
                f"Expected the columns symbol, alias_symbol and prev_symbol, or alias and symbol, in {path.name}. "
                f"Received {', '.join(columns) or 'none'}."
            )
        for row in reader:
            cells = {name: (row[column] or "").strip() for name, column in columns.items()}
            symbol = cells["symbol"]
            if not symbol:
                continue
            if not is_hgnc:
                aliases[cells["alias"]].add(symbol)
                continue
            had[symbol].update(_names(cells["prev_symbol"]), _names(cells.get("ensembl_gene_id", "")))
            for name in had[symbol]:
                former[name].add(symbol)
            for name in _names(cells["alias_symbol"]):
                aliases[name].add(symbol)
    former.pop("", None)
    aliases.pop("", None)
    return GeneNames(dict(former), dict(aliases), _earlier(had, former), path.name, sha256_of(path))


def _names(cell: str) -> list[str]:
    return [name.strip() for name in cell.strip('"').split("|") if name.strip()]


def _earlier(had: Mapping[str, set[str]], former: Mapping[str, set[str]]) -> _Synonyms:
    """The way back, for positions older than the cohort: MT-TP was called MTTP, but that is another gene today."""
    return {
        symbol: {name for name in names if name not in had and former[name] == {symbol}}
        for symbol, names in had.items()
    }


def rename_genes(cohort: Cohort, names: GeneNames, positions: GenePositions) -> Cohort:
    """A cohort whose genes have the positions' symbols; those that then have one symbol are added in linear space.

    Of further kinds of omics, the gene that comes first counts.
    """
    symbols = tuple(names.symbol_of(gene, positions) for gene in cohort.genes)
    renamed = [f"{old} -> {new}" for old, new in zip(cohort.genes, symbols, strict=True) if old != new]
    if not renamed:
        return cohort
    values, genes, merged = sum_duplicates(cohort.expression, symbols, cohort.unit)
    first = {symbol: i for i, symbol in reversed(list(enumerate(symbols)))}
    take = np.asarray([first[gene] for gene in genes], dtype=np.intp)
    by = f"{names.source} and {positions.source}" if names.source else positions.source
    note = f"{cohort.name}: {plural(len(renamed), 'gene')} renamed by {by}"
    note += f", {merged:,} of them added to another of that symbol" if merged else ""
    note += f": {some(renamed)}."
    return replace(
        cohort,
        expression=values,
        genes=genes,
        omics={kind: one.select_genes(take) for kind, one in cohort.omics.items()},
        notes=(*cohort.notes, note),
    )
