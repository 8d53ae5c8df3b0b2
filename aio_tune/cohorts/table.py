"""Any other cohort: an expression table and a clinical table, described by a ``cohort.yaml`` beside them.

name: our_cohort               # letters, digits, spaces, dots, _ and -
expression:
  file: expression.tsv.gz      # CSV, TSV (plain or gzip) or Parquet
  genes_in: rows               # rows (first column: symbols) or columns (first column: sample ids)
  unit: log2(TPM+1)            # or log2(FPKM+0.1), TPM, FPKM, counts
  lengths: gencode.gtf.gz      # for counts alone: a GTF, or a table of genes and their length in bases
clinical:
  file: clinical.csv
  sample: sample_id            # column names
  patient: patient_id          # optional; without it every sample is a patient of its own
  platform: sequencer          # optional
  survival_days: days          # optional
  survival_event: dead         # optional, 0/1
labels:                        # task: column, and what its values mean; NA and empty are missing
  ki67: {column: Ki67, classes: {"0": negative, "1": positive}}
  nhg: {column: Grade, classes: {"1": G1, "2": G2, "3": G3}}

A patient id that holds a colon names its cohort already and is taken as it is: with ``STUDY:P1`` in the files of two
cohorts, their samples are one person's. Any other id has the cohort's name put before it.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.build import build_cohort
from aio_tune.cohorts.clinical import (
    clinical_table,
    match_profiles,
    read_all_labels,
    read_event,
    read_number,
)
from aio_tune.cohorts.description import LabelColumn, Measured, Model, read_label_columns
from aio_tune.cohorts.lengths import counts_to_tpm, length_of, read_lengths
from aio_tune.cohorts.patients import refuse_missing, with_cohort
from aio_tune.cohorts.text_table import TextTable, open_text, read_text_table, refuse_repeated
from aio_tune.cohorts.units import check_unit
from aio_tune.declaration import read_declaration
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of
from aio_tune.tasks import TASKS, Label, Task
from aio_tune.tasks.names import CohortName

DESCRIPTION = "cohort.yaml"


class _Expression(Measured):
    lengths_are = "the name of a file of gene lengths"
    file: str
    genes_in: Literal["rows", "columns"]


class _Clinical(Model):
    file: str
    sample: str
    patient: str | None = None
    platform: str | None = None
    survival_days: str | None = None
    survival_event: str | None = None


class _Description(Model):
    name: CohortName
    expression: _Expression
    clinical: _Clinical
    labels: dict[str, LabelColumn]


class GenericTable(CohortFormat):
    """A folder with a ``cohort.yaml``; see the module's docstring for its fields."""

    name = f"a table with {DESCRIPTION}"

    def claims(self, folder: Path) -> bool:
        return (folder / DESCRIPTION).is_file()

    def read(self, folder: Path, tasks: Mapping[str, Task] = TASKS) -> list[Cohort]:
        described = read_declaration(folder / DESCRIPTION, _Description, "description")
        expression_file = inside(folder, described.expression.file, DESCRIPTION)
        clinical_file = inside(folder, described.clinical.file, DESCRIPTION)
        unit = described.expression.becomes

        columns, records = _read_records(clinical_file)
        samples = _column(described.clinical.sample, columns, records, clinical_file)
        if len(set(samples)) < len(samples) or "" in samples:
            wrong = next(name for i, name in enumerate(samples) if name in samples[:i] or not name)
            raise CohortError(f"Expected each sample once, and named, in {clinical_file.name}. Received {wrong!r}.")

        table = read_expression(expression_file, described.expression.genes_in)
        where = f"{expression_file.name} and {clinical_file.name}"
        _, notes = match_profiles(table.columns, samples, where)
        sources = [folder / DESCRIPTION, expression_file, clinical_file]
        symbols: list[str | None] = list(table.row_names)
        if described.expression.lengths is not None:
            lengths = inside(folder, described.expression.lengths, DESCRIPTION)
            known = read_lengths(lengths)
            length = np.asarray([length_of(name, known) for name in table.row_names])
            notes += counts_to_tpm(table.values, length, table.columns, table.row_names, expression_file.name)
            symbols = [name if bases < np.inf else None for name, bases in zip(table.row_names, length, strict=True)]
            sources.append(lengths)
        check_unit(table.values, unit, expression_file.name)

        labels, more = read_all_labels(
            _labels(described, tasks, columns, clinical_file), tasks, samples, records, clinical_file.name
        )
        notes += more
        patients = samples
        if described.clinical.patient is not None:
            patients = _column(described.clinical.patient, columns, records, clinical_file)
            refuse_missing(patients, samples, "patient", clinical_file.name)
        platforms = [""] * len(samples)
        if described.clinical.platform is not None:
            platforms = _column(described.clinical.platform, columns, records, clinical_file)
        days = event = None
        if described.clinical.survival_days is not None:
            key = _key(described.clinical.survival_days, columns, clinical_file)
            days = [read_number(r, key, s, clinical_file.name) for s, r in zip(samples, records, strict=True)]
        if described.clinical.survival_event is not None:
            key = _key(described.clinical.survival_event, columns, clinical_file)
            event = [read_event(r, key, s, clinical_file.name) for s, r in zip(samples, records, strict=True)]
        subjects = clinical_table(
            samples=samples,
            patients=[with_cohort(patient, described.name) for patient in patients],
            tasks=tasks,
            labels=labels,
            platforms=platforms,
            survival_days=days,
            survival_event=event,
        )
        cohort = build_cohort(
            name=described.name,
            table=table,
            unit=unit,
            subjects=subjects,
            notes=notes,
            sources={path.name: sha256_of(path) for path in sources},
            folder=folder,
            symbols=symbols,
            tasks=tasks,
        )
        return [cohort]


def inside(folder: Path, name: str, description: str) -> Path:
    """The file of this name in the folder, named in a description.

    Raises:
        CohortError: there is none, or the name leads out of the folder.
    """
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise CohortError(f"Expected the file {name!r}, named in {description}, in {folder}. Received none.")
    return path


def _key(column: str, columns: list[str], path: Path) -> str:
    """The record key of a column: its name in lower case."""
    if column.lower() not in columns:
        raise CohortError(f"Expected a column {column!r} in {path.name}. Received {', '.join(columns)}.")
    return column.lower()


def _column(column: str, columns: list[str], records: list[dict[str, str]], path: Path) -> list[str]:
    key = _key(column, columns, path)
    return [record[key] for record in records]


def _labels(described: _Description, tasks: Mapping[str, Task], columns: list[str], path: Path) -> list[Label]:
    named = {
        task: label.model_copy(update={"column": _key(label.column, columns, path)})
        for task, label in described.labels.items()
    }
    return read_label_columns(named, described.name, columns, tasks, DESCRIPTION)


def _read_records(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Column names, lower case, and one record per row, all as text; CSV or TSV by the header."""
    with open_text(path) as file:
        text = file.read()
    rows = [[cell.strip() for cell in row] for row in _parse(text, path) if row]
    if len(rows) < 2:
        raise CohortError(f"Expected a clinical table with rows. Received {path.name}, which has none.")
    columns = [cell.lower() for cell in rows[0]]
    if len(set(columns)) < len(columns):
        raise CohortError(f"Expected each column once in {path.name}. Received {', '.join(columns)}.")
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns):
            raise CohortError(
                f"Expected {len(columns)} cells in every row of {path.name}. Received {len(row)} in row {line}."
            )
    return columns, [dict(zip(columns, row, strict=True)) for row in rows[1:]]


def _parse(text: str, path: Path) -> Iterator[list[str]]:
    """The rows of a CSV or TSV file; of a blank line, nothing."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    delimiter = "\t" if header.count("\t") > header.count(",") else ","
    # Without strict a quote that nobody closes takes all that follows into its cell, and the rows are gone.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first_line = 1
    try:
        for row in reader:
            yield row
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise CohortError(
            f"Expected a delimited text table in {path.name}. "
            f"Received something else in the row that begins in line {first_line} ({error}).",
            "Does it have a quote that is not closed?",
        ) from error


def read_expression(path: Path, genes_in: str) -> TextTable:
    """A table with samples as its columns, whichever way the file lies; CSV, TSV (plain or gzip) or Parquet.

    Raises:
        CohortError: it cannot be read as one, or a sample stands in it twice. A gene may.
    """
    table = read_as_it_lies(path, repeated=genes_in == "columns")
    if genes_in == "rows":
        return table
    samples = tuple(table.row_names)
    refuse_repeated(samples, path)
    return TextTable(np.ascontiguousarray(table.values.T), samples, {}, list(table.columns))


def read_as_it_lies(path: Path, *, repeated: bool = True) -> TextTable:
    """A table with the file's columns as its columns; CSV, TSV (plain or gzip) or Parquet.

    Args:
        path: the file.
        repeated: whether columns may share a name.

    Raises:
        CohortError: as ``read_text_table``.
    """
    return _read_parquet(path, repeated) if path.suffix == ".parquet" else read_text_table(path, repeated=repeated)


def _read_parquet(path: Path, repeated: bool) -> TextTable:
    """A Parquet table: the column of text names the rows, all other columns are numbers."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:  # read_table refuses columns of one name
            table = file.read()
    except (pa.ArrowInvalid, OSError) as error:
        raise CohortError(f"Expected a Parquet file. Received {path.name}: {str(error).splitlines()[0]}.") from error
    names = list(table.column_names)
    kinds = table.schema.types
    text = [i for i, kind in enumerate(kinds) if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
    if len(text) != 1 or table.num_rows == 0 or len(names) < 2:
        raise CohortError(
            f"Expected one text column that names the rows, number columns, and rows in {path.name}. "
            f"Received {len(text)} text columns, {len(names) - len(text)} others, {table.num_rows} rows."
        )
    numbers_at = [i for i in range(len(names)) if i != text[0]]
    numbers = [names[i] for i in numbers_at]
    if not repeated:
        refuse_repeated(numbers, path)
    row_names = [str(cell) for cell in table.column(text[0]).to_pylist()]
    values = np.empty((len(numbers), table.num_rows), dtype=np.float32)
    for i, (at, name) in enumerate(zip(numbers_at, numbers, strict=True)):
        kind = kinds[at]
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise CohortError(f"Expected numbers in column {name!r} of {path.name}. Received {kind}.")
        values[i] = table.column(at).to_numpy()
        if not np.isfinite(values[i]).all():
            row = row_names[int(np.flatnonzero(~np.isfinite(values[i]))[0])]
            raise CohortError(
                f"Expected a number in every cell of {path.name}. Received none in row {row!r}, column {name!r}."
            )
    return TextTable(values, tuple(numbers), {names[text[0]]: row_names}, row_names)
