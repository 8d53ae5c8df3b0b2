"""GSE96058: the SCAN-B cohort (Saal et al., Genome Med 7:20, 2015; Brueffer et al., JCO Precis Oncol 2018).

Expression: log2(FPKM+0.1), comma separated, symbols in rows, samples ``F1``, ``F2``, ..., ``F8repl`` in columns.
Clinical data: one series matrix per sequencer, joined by title.

Some tumours were sequenced twice: ``F8repl`` is a replicate of ``F8``, on the same sequencer or on the other one. Two
cohorts come of it, each with one sample per patient:

- ``GSE96058``: the HiSeq 2000 series deduplicated by sample number, the paper's 2,976 subjects (2,969 primaries, and 7
  replicates whose primary was sequenced on the NextSeq);
- ``GSE96058-NextSeq``: the NextSeq 500 series deduplicated, without the patients of the first: a model trained on the
  first has never seen them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from aio_tune.cohorts.base import Cohort, CohortFormat
from aio_tune.cohorts.build import build_cohort
from aio_tune.cohorts.clinical import (
    clinical_table,
    find_all,
    find_one,
    match_profiles,
    plural,
    read_all_labels,
    read_event,
    read_number,
    without_missing_words,
)
from aio_tune.cohorts.geo import GeoSample, read_series_matrix
from aio_tune.cohorts.text_table import put_first, read_text_table
from aio_tune.cohorts.units import Unit, check_unit
from aio_tune.errors import CohortError
from aio_tune.files import sha256_of
from aio_tune.tasks import TASKS, Task, labels_of

SERIES = "GSE96058"
EXPRESSION = "GSE96058*_gene_expression*transformed.csv*"
SERIES_MATRIX = "GSE96058*series_matrix.txt*"
UNIT = Unit.LOG2_FPKM_01

_INSTRUMENT = {"GPL11154": "HiSeq 2000", "GPL18573": "NextSeq 500"}
_COHORT = {"HiSeq 2000": SERIES, "NextSeq 500": f"{SERIES}-NextSeq"}

_TITLE = re.compile(r"(?P<patient>F\d+)(?P<replicate>repl)?")


@dataclass(frozen=True)
class _Column:
    """One column of the series: a tumour's primary sequencing run or a replicate of it."""

    title: str
    patient: str
    is_replicate: bool
    instrument: str
    characteristics: Mapping[str, str]


class GSE96058(CohortFormat):
    """The GEO files of the series in one folder: expression, and a series matrix for one sequencer or both."""

    name = SERIES

    def claims(self, folder: Path) -> bool:
        return bool(find_all(folder, EXPRESSION) or find_all(folder, SERIES_MATRIX))

    def read(self, folder: Path, tasks: Mapping[str, Task] = TASKS) -> list[Cohort]:
        expression_file = find_one(folder, EXPRESSION, "expression table of GSE96058")
        columns, sources = _read_columns(folder)
        where = f"{expression_file.name} and {' and '.join(sources)}"
        table = read_text_table(expression_file)
        sources[expression_file.name] = sha256_of(expression_file)
        matched, notes = match_profiles(table.columns, [column.title for column in columns], where)
        check_unit(table.values, UNIT, expression_file.name)
        rows, label_notes = _clinical(columns, tasks, " and ".join(name for name in sources if "series_matrix" in name))

        kept: dict[str, list[str]] = {}  # cohort -> titles
        told: dict[str, list[str]] = {}  # cohort -> notes
        profiled, taken = set(matched), set[str]()
        for instrument, name in _COHORT.items():
            own = [column for column in columns if column.instrument == instrument]
            chosen = _one_per_patient(own, profiled)
            titles = [column.title for patient, column in chosen.items() if patient not in taken]
            if profiled.isdisjoint(titles):
                continue
            kept[name] = titles
            told[name] = [
                *notes,
                *_counted(name, "further column", len(own) - len(chosen), "of the same patients set aside"),
                *_counted(name, "patient", len(chosen) - len(titles), f"left out, being in {SERIES} already"),
                *_counted(name, "subject", len(set(titles) - profiled), f"of {len(titles):,} have no profile"),
                *label_notes,
            ]
            taken.update(chosen)
        # Each cohort's profiles together: then a cohort is a part of the table's own memory, not a copy of it.
        table = put_first(table, [title for titles in kept.values() for title in titles if title in profiled])
        return [
            build_cohort(
                name=name,
                table=table,
                unit=UNIT,
                subjects=rows.loc[titles],
                notes=told[name],
                sources=sources,
                folder=folder,
                tasks=tasks,
            )
            for name, titles in kept.items()
        ]


def read_subjects(folder: Path) -> dict[str, pd.DataFrame]:
    """The subjects of each cohort by the series matrices alone, with or without a profile.

    Returns:
        Cohort -> one row per patient: the columns of ``Cohort.subjects``, and every characteristic as GEO has it, in
        lower case, missing where the sample lacks it; the index is the sample's title.

    Raises:
        CohortError: there is no series matrix, or what it says cannot be read.
    """
    columns, sources = _read_columns(folder)
    rows, _ = _clinical(columns, TASKS, " and ".join(sources))
    raw = pd.DataFrame([column.characteristics for column in columns], index=rows.index, dtype="str")
    rows = rows.join(without_missing_words(raw[[name for name in raw if name not in rows]]))
    found, taken = {}, set[str]()
    for instrument, name in _COHORT.items():
        chosen = _one_per_patient([column for column in columns if column.instrument == instrument], set())
        if chosen:
            found[name] = rows.loc[[column.title for patient, column in chosen.items() if patient not in taken]]
            taken.update(chosen)
    return found


def _read_columns(folder: Path) -> tuple[list[_Column], dict[str, str]]:
    """The columns of every series matrix in the folder, and file name -> sha256.

    Raises:
        CohortError: there is no series matrix, or two of them hold the same title.
    """
    files = find_all(folder, SERIES_MATRIX)
    if not files:
        raise CohortError(f"Expected a series matrix ({SERIES_MATRIX}) in {folder}. Received none.")
    columns: dict[str, _Column] = {}
    sources: dict[str, str] = {}
    for path in files:
        matrix = read_series_matrix(path)
        sources[matrix.name] = matrix.sha256
        for sample in matrix.samples:
            if sample.title in columns:
                raise CohortError(
                    f"Expected each sample once in {' and '.join(sources)}. Received {sample.title!r} twice."
                )
            columns[sample.title] = _column(sample, path)
    return list(columns.values()), sources


def _column(sample: GeoSample, path: Path) -> _Column:
    """Reads the title and the sequencer.

    Raises:
        CohortError: the title is not like F8 or F8repl, or the sequencer is neither of the series' two.
    """
    match = _TITLE.fullmatch(sample.title)
    if match is None:
        raise CohortError(f"Expected titles such as F8 or F8repl in {path.name}. Received {sample.title!r}.")
    # The platform's accession, else the characteristic, else the file's name: GEO gives all three.
    in_name = [gpl for gpl in _INSTRUMENT if gpl in path.name]
    platform = sample.platform or (in_name[0] if len(in_name) == 1 else "")
    instrument = _INSTRUMENT.get(platform, sample.characteristics.get("instrument model", platform))
    if instrument not in _COHORT:
        raise CohortError(
            f"Expected one of the sequencers {', '.join(_COHORT)} in {path.name}. "
            f"Received {instrument!r} for sample {sample.title!r}."
        )
    return _Column(sample.title, match["patient"], match["replicate"] is not None, instrument, sample.characteristics)


def _one_per_patient(columns: Sequence[_Column], profiled: set[str]) -> dict[str, _Column]:
    """Patient -> the column that stands for it: one with a profile if there is any, primary before replicate."""
    chosen: dict[str, _Column] = {}
    for column in sorted(columns, key=lambda c: (c.title not in profiled, c.is_replicate)):
        chosen.setdefault(column.patient, column)
    return {patient: chosen[patient] for patient in dict.fromkeys(c.patient for c in columns)}


def _counted(name: str, noun: str, n: int, what: str) -> list[str]:
    """One note, none when there is nothing to count."""
    return [f"{name}: {plural(n, noun)} {what}."] if n else []


def _clinical(columns: Sequence[_Column], tasks: Mapping[str, Task], where: str) -> tuple[pd.DataFrame, list[str]]:
    """Clinical rows of all columns of the series, and notes; also what is set aside later must be readable."""
    titles = [column.title for column in columns]
    records = [column.characteristics for column in columns]
    labels, notes = read_all_labels(labels_of(SERIES, tasks), tasks, titles, records, where)
    pairs = list(zip(records, titles, strict=True))
    rows = clinical_table(
        samples=titles,
        patients=[f"{SERIES}:{column.patient}" for column in columns],
        tasks=tasks,
        labels=labels,
        platforms=[column.instrument for column in columns],
        survival_days=[read_number(record, "overall survival days", title, where) for record, title in pairs],
        survival_event=[read_event(record, "overall survival event", title, where) for record, title in pairs],
    )
    return rows, notes
