"""A cohort, or several, in an AnnData file: samples in obs, genes in var, expression in X or a layer.

A file that ``aio-tune export`` wrote says itself what it holds. Any other is described by an ``anndata.yaml`` beside
it; ``h5ad_description`` has its keys.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.build import build_cohort
from aio_tune.cohorts.clinical import (
    clinical_table,
    find_all,
    find_one,
    read_all_labels,
    read_event,
    read_number,
)
from aio_tune.cohorts.description import LabelColumn, read_label_columns
from aio_tune.cohorts.exported import UNIT, Provenance, check_kind, check_profiles, read_provenance
from aio_tune.cohorts.h5ad_description import (
    DESCRIPTION,
    Clinical,
    Description,
    Expression,
    OmicsLayer,
    check_cohort_names,
    find_description,
)
from aio_tune.cohorts.h5ad_file import H5adFile, open_h5ad
from aio_tune.cohorts.lengths import counts_to_tpm
from aio_tune.cohorts.omics import Omics, check_kind_name, check_values
from aio_tune.cohorts.patients import refuse_in_two_cohorts, refuse_missing, with_cohort
from aio_tune.cohorts.text_table import TextTable
from aio_tune.cohorts.units import Unit, check_unit
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of
from aio_tune.tasks import TASKS, Task

_ReadNumber = Callable[[Mapping[str, str], str, str, str], float]


class AnnDataFile(CohortFormat):
    """A folder with one ``.h5ad`` file; see the module's docstring."""

    name = "AnnData in one .h5ad file"

    def claims(self, folder: Path) -> bool:
        return bool(find_all(folder, "*.h5ad"))

    def read(self, folder: Path, tasks: Mapping[str, Task] = TASKS) -> list[Cohort]:
        path = find_one(folder, "*.h5ad", "AnnData file")
        with open_h5ad(path) as file:
            given = find_description(folder)
            provenance = read_provenance(file)
            if given is None and provenance is None:
                raise CohortError(
                    f"Expected an {DESCRIPTION} beside {path.name} that names the unit of its values. Received none.",
                    "One of two lines will do: `name: our_cohort` and `expression: {unit: TPM}`.",
                )
            described = given or _of_export(file, provenance, tasks)
            layer, unit = described.expression.layer, described.expression.becomes
            _refuse_duplicates(file.names("obs"), f"obs of {path.name}")
            _refuse_other_logarithm(file, described)
            values = file.matrix(layer)
            symbols = gene_symbols(file, described)
            notes: list[str] = []
            if described.expression.lengths is not None:
                length = _lengths(file, described.expression.lengths)
                notes = counts_to_tpm(values, length, file.names("obs"), file.names("var"), file.where(layer))
                symbols = [symbol if known else None for symbol, known in zip(symbols, length < np.inf, strict=True)]
            check_unit(values, unit, file.where(layer))
            if given is None:
                check_profiles(file, values)
            omics = _read_omics(file, described, symbols)
            if given is None:
                for kind, one in omics.items():
                    check_kind(file, kind, one.values)
            reading = _Reading(
                file=file,
                described=described,
                provenance=provenance,
                is_export=given is None,
                values=values,
                symbols=symbols,
                omics=omics,
                notes=notes,
                tasks=tasks,
                sources={p.name: sha256_of(p) for p in (path, folder / DESCRIPTION) if p.is_file()},
            )
            return reading.cohorts()


def gene_symbols(file: H5adFile, described: Description | None) -> list[str | None]:
    """The symbol of every gene of var, None where it has none.

    Raises:
        CohortError: the description names a column that var does not have.
    """
    column = None if described is None else described.expression.symbols
    names = file.names("var") if column is None else file.column("var", column)
    return [name or None for name in names]


def _lengths(file: H5adFile, column: str) -> npt.NDArray[np.float64]:
    """Gene lengths in bases from var, infinite where there is none.

    Raises:
        CohortError: a cell is no number over 0.
    """
    lengths = []
    for gene, cell in zip(file.names("var"), file.column("var", column), strict=True):
        length = read_number({column: cell}, column, gene, f"var of {file.path.name}")
        if length <= 0:
            raise CohortError(f"Expected a length in bases in var of {file.path.name}. Received {cell!r} for {gene!r}.")
        lengths.append(np.inf if np.isnan(length) else length)
    return np.asarray(lengths)


def _read_omics(file: H5adFile, described: Description, symbols: Sequence[str | None]) -> dict[str, Omics]:
    """The further kinds that the description names, of all samples and genes of the file.

    Raises:
        CohortError: a layer is missing or contradicts its unit, or a gene stands in the file twice.
    """
    omics = {}
    for kind, entry in described.omics.items():
        check_kind_name(kind, DESCRIPTION)
        twice = [name for name, count in Counter(symbols).items() if count > 1 and name is not None]
        if twice:
            raise CohortError(
                f"Expected each gene once in var of {file.path.name}, which has {kind}. "
                f"Received {twice[0]!r} more than once.",
                "Summarise them to one value per gene.",
            )
        values = file.matrix(entry.layer, gaps=True)
        check_values(values, entry.unit, file.where(entry.layer))
        omics[kind] = Omics(values, entry.unit)
    return omics


def _of_export(file: H5adFile, provenance: Provenance | None, tasks: Mapping[str, Task]) -> Description:
    """What the description of a file that ``aio-tune export`` wrote would say."""
    columns = file.columns("obs")
    return Description(
        expression=Expression(unit=UNIT),
        clinical=Clinical(
            cohort="cohort",
            sample="sample_id",
            patient="patient_id",
            platform="platform",
            survival_days="survival_days",
            survival_event="survival_event",
        ),
        labels={
            name: LabelColumn(column=name, classes={word: word for word in task.classes})
            for name, task in tasks.items()
            if name in columns
        },
        omics={
            kind.name: OmicsLayer(layer=kind.name, unit=kind.unit) for kind in (provenance.kinds if provenance else ())
        },
    )


def _refuse_other_logarithm(file: H5adFile, described: Description) -> None:
    """Scanpy's log1p is the natural logarithm unless it is told otherwise, and leaves a note of that in uns."""
    unit = described.expression.becomes
    note = file.uns("log1p")
    if note is None or not unit.is_log or described.expression.layer is not None:
        return
    base = note.get("base") if isinstance(note, dict) else None
    if unit is not Unit.LOG2_TPM_1 or base != 2:
        raise CohortError(
            f"Expected {unit.value} values in {file.where(None)}. Received the result of scanpy's log1p with "
            f"{'the natural logarithm' if base is None else f'base {base:g}'} (uns['log1p']).",
            "Keep the linear values in a layer, and name that.",
        )


@dataclass(frozen=True)
class _Reading:
    """What is known of a file once its matrix is in memory.

    Attributes:
        file: still open.
        described: what its columns mean.
        provenance: of the dataset that the file was exported from; None if it was not.
        is_export: whether the file is as exported, and described by itself.
        values: unit checked, shape (n_samples, n_genes).
        symbols: of the genes, None where one has none.
        omics: further kinds, of the rows and columns of ``values``.
        notes: what the user must be told of the whole file.
        tasks: the questions to look for labels of.
        sources: file name -> sha256.
    """

    file: H5adFile
    described: Description
    provenance: Provenance | None
    is_export: bool
    values: npt.NDArray[np.float32]
    symbols: list[str | None]
    omics: dict[str, Omics]
    notes: list[str]
    tasks: Mapping[str, Task]
    sources: dict[str, str]

    def cohorts(self) -> list[Cohort]:
        """Those of the file: in the order of the export, else of first appearance."""
        rows_of, column = self._rows_by_cohort(), self.described.clinical.patient
        if column is not None and len(rows_of) > 1:
            patients = {name: self._cells(column, rows) for name, rows in rows_of.items()}
            refuse_in_two_cohorts(patients, f"obs of {self.file.path.name}")
        return [self._cohort(name, rows) for name, rows in rows_of.items()]

    def _rows_by_cohort(self) -> dict[str, npt.NDArray[np.intp]]:
        samples = self.file.names("obs")
        column = self.described.clinical.cohort
        if column is None:
            return {self.described.name: np.arange(len(samples))}
        names, where = self.file.column("obs", column), f"obs of {self.file.path.name} in column {column!r}"
        refuse_missing(names, samples, "cohort", where)
        order = list(dict.fromkeys(names))
        if self.is_export and self.provenance is not None:
            # Not by name: what an earlier version exported is read for good.
            order = self.provenance.in_order(order, self.file.path.name)
        else:
            check_cohort_names(order, where)
        return {name: np.flatnonzero(np.asarray(names) == name) for name in order}

    def _cohort(self, name: str, rows: npt.NDArray[np.intp]) -> Cohort:
        clinical = self.described.clinical
        where = f"obs of {self.file.path.name}"
        samples = self._cells(clinical.sample, rows) or [self.file.names("obs")[row] for row in rows]
        _refuse_duplicates(samples, where)
        described, columns = self.described.labels, self.file.columns("obs")
        known = read_label_columns(described, name, columns, self.tasks, DESCRIPTION)
        # A column that the description names must be there; one that only a task names may be missing.
        keys = [label.key for label in known if label.task in described or label.key in columns]
        cells = {key: self._cells(key, rows) for key in keys}
        records = [{key: column[row] for key, column in cells.items()} for row in range(len(rows))]
        labels, more = read_all_labels(known, self.tasks, samples, records, where)
        notes = [*self.notes, *more]
        patients = samples
        if clinical.patient is not None:
            patients = self._cells(clinical.patient, rows)
            refuse_missing(patients, samples, "patient", where)
        subjects = clinical_table(
            samples=samples,
            patients=[with_cohort(patient, name) for patient in patients],
            tasks=self.tasks,
            labels=labels,
            platforms=self._cells(clinical.platform, rows) or [""] * len(samples),
            survival_days=self._numbers(read_number, clinical.survival_days, samples, rows),
            survival_event=self._numbers(read_event, clinical.survival_event, samples, rows),
        )
        cohort = build_cohort(
            name=name,
            table=TextTable(_rows(self.values, rows), tuple(samples), {}, [symbol or "" for symbol in self.symbols]),
            unit=self.described.expression.becomes,
            subjects=subjects,
            notes=notes,
            sources=self.sources,
            folder=self.file.path.parent,
            symbols=self.symbols,
            tasks=self.tasks,
            omics=self._omics(rows),
        )
        if self.provenance is None:
            return cohort
        told = self.provenance.notes(name, len(samples)) if self.is_export else ()
        simulated = cohort.simulated or self.provenance.simulated(name)
        return replace(cohort, notes=told + cohort.notes, simulated=simulated, selected=self.is_export)

    def _omics(self, rows: npt.NDArray[np.intp]) -> dict[str, Omics]:
        """The kinds that any of these samples has, of the genes that have a symbol."""
        named = np.flatnonzero([symbol is not None for symbol in self.symbols])
        found = {kind: replace(one, values=one.values[np.ix_(rows, named)]) for kind, one in self.omics.items()}
        return {kind: one for kind, one in found.items() if one.patients.any()}

    def _cells(self, column: str | None, rows: npt.NDArray[np.intp]) -> list[str]:
        """A column of obs in these rows; nothing where none is named."""
        if column is None:
            return []
        cells = self.file.column("obs", column)
        return [cells[row] for row in rows]

    def _numbers(
        self, read: _ReadNumber, column: str | None, samples: list[str], rows: npt.NDArray[np.intp]
    ) -> list[float] | None:
        if column is None:
            return None
        where = f"obs of {self.file.path.name}"
        cells = zip(samples, self._cells(column, rows), strict=True)
        return [read({column: cell}, column, sample, where) for sample, cell in cells]


def _rows(values: npt.NDArray[np.float32], rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """These rows; without a copy where they lie together, as those of a cohort mostly do."""
    together = bool((np.diff(rows) == 1).all())
    return values[rows[0] : rows[-1] + 1] if together else values[rows]


def _refuse_duplicates(names: Sequence[str], where: str) -> None:
    wrong = [name for name, count in Counter(names).items() if count > 1 or not name]
    if wrong:
        raise CohortError(f"Expected each sample once, and named, in {where}. Received {wrong[0]!r}.")
