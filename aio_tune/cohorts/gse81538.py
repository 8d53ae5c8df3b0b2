"""GSE81538: the 405 tumours of SCAN-B's training cohort (Brueffer et al., JCO Precis Oncol 2018).

Expression: log2(FPKM+0.1), symbols in rows, samples ``T1`` to ``T405`` in columns. Clinical data: one series matrix,
joined by title. ``ki67 consensus`` is the percentage of stained nuclei agreed on by three readers: over 20 is positive.
``nhg consensus`` is 1, 2 or 3. There is no survival. The scales of ``er consensus``, ``pgr consensus`` and ``her2
consensus`` are not documented well enough to set a limit, so these labels are left missing, and a note says so.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.build import build_cohort
from aio_tune.cohorts.clinical import (
    clinical_table,
    find_all,
    find_one,
    match_profiles,
    read_all_labels,
)
from aio_tune.cohorts.geo import SeriesMatrix, read_series_matrix
from aio_tune.cohorts.text_table import read_text_table
from aio_tune.cohorts.units import Unit, check_unit
from aio_tune.files import sha256_of
from aio_tune.tasks import TASKS, Task, labels_of

SERIES = "GSE81538"
EXPRESSION = "GSE81538*_gene_expression*transformed.csv*"
SERIES_MATRIX = "GSE81538*series_matrix.txt*"
UNIT = Unit.LOG2_FPKM_01
INSTRUMENT = "HiSeq 2000"

_UNDOCUMENTED = ("er consensus", "pgr consensus", "her2 consensus")


class GSE81538(CohortFormat):
    """The two GEO files of the series in one folder."""

    name = SERIES

    def claims(self, folder: Path) -> bool:
        return bool(find_all(folder, EXPRESSION) or find_all(folder, SERIES_MATRIX))

    def read(self, folder: Path, tasks: Mapping[str, Task] = TASKS) -> list[Cohort]:
        expression_file = find_one(folder, EXPRESSION, "expression table of GSE81538")
        matrix = read_series_matrix(find_one(folder, SERIES_MATRIX, "series matrix of GSE81538"))
        table = read_text_table(expression_file)
        titles = [sample.title for sample in matrix.samples]
        _, notes = match_profiles(table.columns, titles, f"{expression_file.name} and {matrix.name}")
        check_unit(table.values, UNIT, expression_file.name)
        subjects, label_notes = _subjects(matrix, tasks)
        notes += label_notes
        cohort = build_cohort(
            name=SERIES,
            table=table,
            unit=UNIT,
            subjects=subjects,
            notes=notes,
            sources={matrix.name: matrix.sha256, expression_file.name: sha256_of(expression_file)},
            folder=folder,
            tasks=tasks,
        )
        return [cohort]


def read_subjects(folder: Path) -> pd.DataFrame:
    """The subjects by the series matrix alone, as ``Cohort.subjects``.

    Raises:
        CohortError: there is no series matrix, or what it says cannot be read.
    """
    return _subjects(read_series_matrix(find_one(folder, SERIES_MATRIX, "series matrix of GSE81538")), TASKS)[0]


def _subjects(matrix: SeriesMatrix, tasks: Mapping[str, Task]) -> tuple[pd.DataFrame, list[str]]:
    """One row per subject, and notes."""
    titles = [sample.title for sample in matrix.samples]
    records = [sample.characteristics for sample in matrix.samples]
    labels, notes = read_all_labels(labels_of(SERIES, tasks), tasks, titles, records, matrix.name)
    undocumented = [key for key in _UNDOCUMENTED if any(key in record for record in records)]
    if undocumented:
        notes.append(f"{', '.join(undocumented)}: scale not documented, ER, PgR and HER2 left missing.")
    subjects = clinical_table(
        samples=titles,
        patients=[f"{SERIES}:{title}" for title in titles],
        tasks=tasks,
        labels=labels,
        platforms=[INSTRUMENT] * len(titles),
    )
    return subjects, notes
