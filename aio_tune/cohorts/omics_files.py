"""Further kinds of omics in files of their own, described by an ``omics.yaml`` beside the expression files.

methylation:
  file: methylation.csv.gz     # CSV, TSV (plain or gzip) or Parquet
  genes_in: rows               # rows (first column: symbols) or columns (first column: sample ids)
  unit: beta                   # 0 to 1; or log2 ratio
copy_number: {file: copy_number.tsv.gz, genes_in: rows, unit: log2 ratio}

It goes with any format of expression. Samples are matched by the ids that they have in the clinical table, genes by
symbol. Every cell is a number: a patient for whom the kind was not measured is left out of the file, and so is a gene.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, RootModel

from aio_tune.cohorts.base import Cohort
from aio_tune.cohorts.checks import check_cohort
from aio_tune.cohorts.clinical import plural
from aio_tune.cohorts.omics import Omics, OmicsUnit, check_kind_name, check_values
from aio_tune.cohorts.table import inside, read_expression
from aio_tune.cohorts.text_table import TextTable
from aio_tune.declaration import read_declaration
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of

DESCRIPTION = "omics.yaml"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    genes_in: Literal["rows", "columns"]
    unit: OmicsUnit


class _Description(RootModel[dict[str, _Entry]]):
    """What an ``omics.yaml`` says."""


@dataclass(frozen=True)
class _Kind:
    """One kind as its file has it.

    Attributes:
        name: e.g. ``"methylation"``.
        unit: of the values, checked.
        path: the file.
        table: samples as columns of the file; each sample and each symbol once.
    """

    name: str
    unit: OmicsUnit
    path: Path
    table: TextTable


def attach_omics(folder: Path, cohorts: Sequence[Cohort]) -> list[Cohort]:
    """The cohorts of a folder with the further kinds that its ``omics.yaml`` names; as they are where it has none.

    Raises:
        CohortError: the description or a file is not what it must be, a kind is of none of the cohorts' samples, or a
            sample id of it stands in two cohorts.
    """
    if not (folder / DESCRIPTION).is_file():
        return list(cohorts)
    described = read_declaration(folder / DESCRIPTION, _Description, "description").root
    if not described:
        raise CohortError(
            f"Expected at least one kind of omics in {DESCRIPTION}. Received none.", f"Remove {DESCRIPTION}."
        )
    sources = {DESCRIPTION: sha256_of(folder / DESCRIPTION)}
    out = list(cohorts)
    for name, entry in described.items():
        check_kind_name(name, DESCRIPTION)
        if any(name in cohort.omics for cohort in out):
            raise CohortError(f"Expected {name} once. Received it in {DESCRIPTION} and in the expression file.")
        kind = _read_kind(folder, name, entry)
        sources[kind.path.name] = sha256_of(kind.path)
        strangers = _strangers(kind, out)
        out = [_with_kind(cohort, kind) for cohort in out]
        if strangers:
            told = f"{plural(strangers, 'sample')} of {kind.path.name} in no cohort, left out."
            out = [replace(cohort, notes=(*cohort.notes, told)) for cohort in out]
    # All of it for every cohort: what is not of a cohort's samples is known from these files, too.
    out = [replace(cohort, sources=cohort.sources | sources) for cohort in out]
    for cohort in out:
        check_cohort(cohort)
    return out


def read_omics(folder: Path, samples: Sequence[str], genes: Sequence[str]) -> dict[str, Omics]:
    """The kinds that an ``omics.yaml`` in the folder names, for these samples and genes; nothing where it has none.

    Args:
        folder: where the files lie.
        samples: unique ids. A kind that none of them has is left out, since other samples of the folder may have it.
        genes: unique symbols.

    Raises:
        CohortError: the description or a file is not what it must be.
    """
    if not (folder / DESCRIPTION).is_file():
        return {}
    described = read_declaration(folder / DESCRIPTION, _Description, "description").root
    found = {}
    for name, entry in described.items():
        check_kind_name(name, DESCRIPTION)
        kind = _read_kind(folder, name, entry)
        values = _aligned(kind, samples, genes)
        if values is not None:
            found[name] = Omics(values, kind.unit)
    return found


def _read_kind(folder: Path, name: str, entry: _Entry) -> _Kind:
    path = inside(folder, entry.file, DESCRIPTION)
    table = read_expression(path, entry.genes_in)
    twice = [symbol for symbol, count in Counter(table.row_names).items() if count > 1]
    if twice:
        raise CohortError(
            f"Expected each gene once in {path.name}. Received {twice[0]!r} more than once.",
            "Summarise probes or segments to one value per gene.",
        )
    check_values(table.values, entry.unit, path.name)
    return _Kind(name, entry.unit, path, table)


def _strangers(kind: _Kind, cohorts: Sequence[Cohort]) -> int:
    """How many samples of a kind are in no cohort; a kind of nobody, or of nobody knows whom, is refused."""
    owners = Counter(sample for cohort in cohorts for sample in cohort.clinical.index)
    known = [sample for sample in kind.table.columns if sample in owners]
    if not known:
        theirs = "; ".join(f"{cohort.name} has {', '.join(cohort.clinical.index[:3])}" for cohort in cohorts)
        raise CohortError(
            f"Expected samples of the cohorts in {kind.path.name}. "
            f"Received none of theirs, but {', '.join(kind.table.columns[:3])}: {theirs}.",
            "Use the sample ids of the clinical table.",
        )
    twice = [sample for sample in known if owners[sample] > 1]
    if twice:
        names = [cohort.name for cohort in cohorts if twice[0] in cohort.clinical.index]
        raise CohortError(
            f"Expected each sample of {kind.path.name} in one cohort. "
            f"Received {twice[0]!r}, which is in {' and '.join(names)}.",
            "Put the cohorts into folders of their own.",
        )
    if not any(set(cohort.genes).intersection(kind.table.row_names) for cohort in cohorts):
        raise CohortError(
            f"Expected gene symbols of the cohorts in {kind.path.name}. "
            f"Received none of theirs, but {', '.join(kind.table.row_names[:3])}.",
            f"Does genes_in of {DESCRIPTION} say which way the table lies?",
        )
    return len(kind.table.columns) - len(known)


def _with_kind(cohort: Cohort, kind: _Kind) -> Cohort:
    """The cohort with the kind, if any sample of it has it."""
    values = _aligned(kind, list(cohort.clinical.index), cohort.genes)
    if values is None:
        return cohort
    one = Omics(values, kind.unit)
    notes, missing = [], int((~one.patients).sum())
    if missing:
        notes.append(f"{cohort.name}: {plural(missing, 'sample')} of {len(values):,} without {kind.name}.")
    return replace(cohort, omics={**cohort.omics, kind.name: one}, notes=(*cohort.notes, *notes))


def _aligned(kind: _Kind, samples: Sequence[str], genes: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """The kind of these samples and genes, NaN where its file has none; None if it has nothing of them."""
    row_of = {sample: i for i, sample in enumerate(kind.table.columns)}
    column_of = {gene: i for i, gene in enumerate(kind.table.row_names)}
    columns = np.flatnonzero([gene in column_of for gene in genes])
    if not len(columns) or not any(sample in row_of for sample in samples):
        return None
    values = np.full((len(samples), len(genes)), np.nan, np.float32)
    taken = [column_of[gene] for gene in genes if gene in column_of]
    for row, sample in enumerate(samples):
        if sample in row_of:
            values[row, columns] = kind.table.values[row_of[sample], taken]
    return values
