"""GSE163882: 222 pre-treatment biopsies, formalin-fixed and paraffin-embedded (FFPE).

Expression: linear TPM, Ensembl ids in rows, samples ``BA#####`` in columns, and somewhere among the columns one called
``annotation`` with the gene symbols, which are not unique: rows of one symbol are summed. Clinical data: one series
matrix, whose titles are ``BA#####: label``. The grade's key is ``tumor grage`` (sic); grade 0 is not a grade and read
as missing. No Ki67, no survival.

Patients: GEO names no patient, but in nine pairs the label behind the colon, an accession number of the specimen, is
the same, or two labels such as ``S1-23/S1-45`` and ``S1-45`` share one. Samples that share an accession number are
taken for one patient. This errs towards fewer patients, so that folds never part two samples of one.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.build import build_cohort
from aio_tune.cohorts.clinical import (
    clinical_table,
    find_all,
    find_one,
    is_missing,
    match_profiles,
    plural,
    read_all_labels,
)
from aio_tune.cohorts.geo import SeriesMatrix, read_series_matrix
from aio_tune.cohorts.text_table import TextTable, read_text_table
from aio_tune.cohorts.units import Unit, check_unit
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of
from aio_tune.tasks import TASKS, Task, labels_of

SERIES = "GSE163882"
EXPRESSION = "GSE163882*tpm*.csv*"
SERIES_MATRIX = "GSE163882*series_matrix.txt*"
UNIT = Unit.TPM
PLATFORM = "FFPE"
SYMBOL_COLUMN = "annotation"
MOST_SAMPLES_OF_ONE_PATIENT = 4
"""A label shared by more samples is a description, not an accession number."""

_SAMPLE = re.compile(r"BA\d+")


class GSE163882(CohortFormat):
    """The two GEO files of the series in one folder."""

    name = SERIES

    def claims(self, folder: Path) -> bool:
        return bool(find_all(folder, EXPRESSION) or find_all(folder, SERIES_MATRIX))

    def read(self, folder: Path, tasks: Mapping[str, Task] = TASKS) -> list[Cohort]:
        expression_file = find_one(folder, EXPRESSION, "table of TPM of GSE163882")
        matrix = read_series_matrix(find_one(folder, SERIES_MATRIX, "series matrix of GSE163882"))
        samples, _ = _split_titles(matrix)
        known = set(samples)
        table = read_text_table(expression_file, lambda name: name in known or _SAMPLE.fullmatch(name) is not None)
        _, notes = match_profiles(table.columns, samples, f"{expression_file.name} and {matrix.name}")
        check_unit(table.values, UNIT, expression_file.name)

        subjects, label_notes = _subjects(matrix, tasks)
        notes += label_notes
        symbols, symbol_notes = _symbols(table, expression_file.name)
        cohort = build_cohort(
            name=SERIES,
            table=table,
            unit=UNIT,
            subjects=subjects,
            notes=[*notes, *symbol_notes],
            sources={matrix.name: matrix.sha256, expression_file.name: sha256_of(expression_file)},
            folder=folder,
            symbols=symbols,
            tasks=tasks,
        )
        return [cohort]


def read_subjects(folder: Path) -> pd.DataFrame:
    """The subjects by the series matrix alone, as ``Cohort.subjects``.

    Raises:
        CohortError: there is no series matrix, or what it says cannot be read.
    """
    return _subjects(read_series_matrix(find_one(folder, SERIES_MATRIX, "series matrix of GSE163882")), TASKS)[0]


def _subjects(matrix: SeriesMatrix, tasks: Mapping[str, Task]) -> tuple[pd.DataFrame, list[str]]:
    """One row per sample, and notes."""
    samples, specimens = _split_titles(matrix)
    records = [sample.characteristics for sample in matrix.samples]
    labels, notes = read_all_labels(labels_of(SERIES, tasks), tasks, samples, records, matrix.name)
    patients = group_patients(samples, specimens)
    repeated = len(patients) - len(set(patients))
    if repeated:
        notes.append(f"{plural(repeated, 'sample')} grouped with another by specimen number: likely one patient.")
    subjects = clinical_table(
        samples=samples,
        patients=[f"{SERIES}:{patient}" for patient in patients],
        tasks=tasks,
        labels=labels,
        platforms=[PLATFORM] * len(samples),
    )
    return subjects, notes


def _split_titles(matrix: SeriesMatrix) -> tuple[list[str], list[str]]:
    """Sample ids and specimen labels from titles such as ``BA12345: S16-3384``.

    Raises:
        CohortError: two titles have one sample id.
    """
    samples, specimens = [], []
    for sample in matrix.samples:
        head, _, rest = sample.title.partition(":")
        samples.append(head.strip())
        specimens.append(rest.strip())
    if len(set(samples)) < len(samples):
        twice = next(name for i, name in enumerate(samples) if name in samples[:i])
        raise CohortError(f"Expected each sample once in {matrix.name}. Received {twice!r} more than once.")
    return samples, specimens


def group_patients(samples: Sequence[str], specimens: Sequence[str]) -> list[str]:
    """A patient for every sample: the first sample of the group that shares accession numbers.

    Args:
        samples: sample ids.
        specimens: labels; accession numbers in them are separated by ``/``, ``,`` or ``;`` and hold a digit.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for i, specimen in enumerate(specimens):
        for token in {" ".join(part.lower().split()) for part in re.split(r"[/,;]", specimen)}:
            if any(character.isdigit() for character in token):
                holders[token].append(i)
    group = list(range(len(samples)))  # the smallest index of each sample's group

    def root(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    for members in holders.values():
        if len(members) <= MOST_SAMPLES_OF_ONE_PATIENT:
            smallest = min(root(i) for i in members)
            for i in members:
                group[root(i)] = smallest
    return [samples[root(i)] for i in range(len(samples))]


def _symbols(table: TextTable, where: str) -> tuple[list[str | None], list[str]]:
    """The symbol of every row, None where it has none, and notes.

    Raises:
        CohortError: no symbol column, no symbol in it, or one Ensembl id twice.
    """
    columns = {name.strip().lower(): cells for name, cells in table.text.items()}
    if SYMBOL_COLUMN not in columns:
        names = ", ".join(map(repr, columns))
        raise CohortError(f"Expected a column {SYMBOL_COLUMN!r} in {where}. Received the text columns {names}.")
    symbols = [None if is_missing(symbol) else symbol for symbol in columns.pop(SYMBOL_COLUMN)]
    if not any(symbols):
        raise CohortError(f"Expected gene symbols in the column {SYMBOL_COLUMN!r} of {where}. Received none.")
    notes = []
    for name, cells in columns.items():
        if not cells[0].startswith("ENSG"):
            notes.append(f"Column {name!r} of {where} left out: neither a sample nor Ensembl ids.")
        elif len(set(cells)) < len(cells):
            twice = next(cell for i, cell in enumerate(cells) if cell in cells[:i])
            raise CohortError(f"Expected each Ensembl id once in {where}. Received {twice!r} more than once.")
    return symbols, notes
