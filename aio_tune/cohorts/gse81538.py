"""GSE81538: the 405 tumours of SCAN-B's training cohort (Brueffer et al., JCO Precis Oncol 2018).

Expression: log2(FPKM+0.1), symbols in rows, samples ``T1`` to ``T405`` in columns. Clinical data: one series matrix,
joined by title. ``ki67 consensus`` is the percentage of stained nuclei agreed on by three readers: over 20 is positive.
``nhg consensus`` is 1, 2 or 3. There is no survival. The scales of ``er consensus``, ``pgr consensus`` and ``her2
consensus`` are not documented well enough to set a limit, so these labels are left missing, and a note says so.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.build import build_cohort
from aio_tune.cohorts.clinical import (
    Label,
    clinical_table,
    find_all,
    find_one,
    is_missing,
    match_profiles,
    read_labels,
)
from aio_tune.cohorts.geo import SeriesMatrix, read_series_matrix
from aio_tune.cohorts.text_table import read_text_table
from aio_tune.cohorts.units import Unit, check_unit
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of

SERIES = "GSE81538"
EXPRESSION = "GSE81538*_gene_expression*transformed.csv*"
SERIES_MATRIX = "GSE81538*series_matrix.txt*"
UNIT = Unit.LOG2_FPKM_01
INSTRUMENT = "HiSeq 2000"

KI67_KEY = "ki67 consensus"
KI67_LIMIT = 20.0
"""Percent of stained nuclei; over it is positive, up to it negative (Chen et al. 2021)."""

_NHG = Label("nhg", "nhg consensus", {"1": "G1", "2": "G2", "3": "G3"})
_UNDOCUMENTED = ("er consensus", "pgr consensus", "her2 consensus")


class GSE81538(CohortFormat):
    """The two GEO files of the series in one folder."""

    name = SERIES

    def claims(self, folder: Path) -> bool:
        return bool(find_all(folder, EXPRESSION) or find_all(folder, SERIES_MATRIX))

    def read(self, folder: Path) -> list[Cohort]:
        expression_file = find_one(folder, EXPRESSION, "expression table of GSE81538")
        matrix = read_series_matrix(find_one(folder, SERIES_MATRIX, "series matrix of GSE81538"))
        table = read_text_table(expression_file)
        titles = [sample.title for sample in matrix.samples]
        _, notes = match_profiles(table.columns, titles, f"{expression_file.name} and {matrix.name}")
        check_unit(table.values, UNIT, expression_file.name)
        subjects, label_notes = _subjects(matrix)
        notes += label_notes
        cohort = build_cohort(
            name=SERIES,
            table=table,
            unit=UNIT,
            subjects=subjects,
            notes=notes,
            sources={matrix.name: matrix.sha256, expression_file.name: sha256_of(expression_file)},
            folder=folder,
        )
        return [cohort]


def read_subjects(folder: Path) -> pd.DataFrame:
    """The subjects by the series matrix alone, as ``Cohort.subjects``.

    Raises:
        CohortError: there is no series matrix, or what it says cannot be read.
    """
    return _subjects(read_series_matrix(find_one(folder, SERIES_MATRIX, "series matrix of GSE81538")))[0]


def _subjects(matrix: SeriesMatrix) -> tuple[pd.DataFrame, list[str]]:
    """One row per subject, and notes."""
    titles = [sample.title for sample in matrix.samples]
    records = [sample.characteristics for sample in matrix.samples]
    ki67, ki67_notes = _read_ki67(titles, records, matrix.name)
    nhg, nhg_notes = read_labels(_NHG, titles, records, matrix.name)
    notes = ki67_notes + nhg_notes
    undocumented = [key for key in _UNDOCUMENTED if any(key in record for record in records)]
    if undocumented:
        notes.append(f"{', '.join(undocumented)}: scale not documented, ER, PgR and HER2 left missing.")
    subjects = clinical_table(
        samples=titles,
        patients=[f"{SERIES}:{title}" for title in titles],
        labels={"ki67": ki67, "nhg": nhg},
        platforms=[INSTRUMENT] * len(titles),
    )
    return subjects, notes


def _read_ki67(
    titles: Sequence[str], records: Sequence[Mapping[str, str]], where: str
) -> tuple[list[str | None], list[str]]:
    """Ki67 status from the readers' percentages, and notes.

    Raises:
        CohortError: a value is neither missing nor a percentage, or all of them are fractions.
    """
    if not any(KI67_KEY in record for record in records):
        return [None] * len(titles), [f"Ki67 status: no {KI67_KEY!r} in {where}, left missing."]
    percents = [_percent(record.get(KI67_KEY, ""), title, where) for title, record in zip(titles, records, strict=True)]
    known = [p for p in percents if not math.isnan(p)]
    if len(known) >= 20 and 0 < max(known) <= 1:
        raise CohortError(
            f"Expected percentages as {KI67_KEY!r} in {where}. Received nothing over {max(known):g}: "
            "these look like fractions or a status."
        )
    labels = [None if math.isnan(p) else "positive" if p > KI67_LIMIT else "negative" for p in percents]
    return labels, []


def _percent(value: str, title: str, where: str) -> float:
    """0 to 100, NaN where missing."""
    if is_missing(value):
        return float("nan")
    try:
        percent = float(value.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise CohortError(
            f"Expected a percentage or NA as {KI67_KEY!r} in {where}. Received {value!r} for sample {title!r}."
        )
    return percent
