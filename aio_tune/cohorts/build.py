"""The last step of every reader: profiles and clinical rows become a checked `Cohort`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from aio_tune.cohorts.base import Cohort
from aio_tune.cohorts.checks import check_cohort
from aio_tune.cohorts.clinical import plural
from aio_tune.cohorts.omics import Omics
from aio_tune.cohorts.text_table import TextTable
from aio_tune.cohorts.units import Unit, sum_duplicates
from aio_tune.tasks import TASKS, Task


def build_cohort(
    *,
    name: str,
    table: TextTable,
    unit: Unit,
    subjects: pd.DataFrame,
    notes: Sequence[str],
    sources: dict[str, str],
    folder: Path,
    symbols: Sequence[str | None] | None = None,
    tasks: Mapping[str, Task] = TASKS,
    omics: Mapping[str, Omics] | None = None,
) -> Cohort:
    """A cohort of the subjects that have a profile, with one column per gene symbol.

    Args:
        name: the cohort's name.
        table: the profiles, unit already checked.
        unit: of the table's values.
        subjects: all subjects (`clinical_table`); at least one has a profile.
        notes: what the reader has to tell; what happens here is added.
        sources: file name -> sha256.
        folder: where the files lie; a ``simulation.json`` in it marks the cohort as simulated.
        symbols: gene symbol of each row of the file, None where it has none; by default the rows' names.
        tasks: the questions whose labels are columns of ``subjects``.
        omics: further kinds of the profiled subjects and of the genes with a symbol, in their order; symbols differ.

    Raises:
        CohortError: the result breaks a promise of `Cohort`.
    """
    symbols = table.row_names if symbols is None else symbols
    position = {column: i for i, column in enumerate(table.columns)}
    clinical = subjects.loc[[sample for sample in subjects.index if sample in position]]
    rows = np.asarray([position[sample] for sample in clinical.index], dtype=np.intp)
    named = [i for i, symbol in enumerate(symbols) if symbol is not None]
    if len(named) < len(symbols):
        values = table.values[rows[:, None], named]
    elif len(rows) and (np.diff(rows) == 1).all():
        values = table.values[rows[0] : rows[-1] + 1]  # no copy; cohorts of one file have different rows of it
    else:
        values = table.values[rows]
    values, genes, merged = sum_duplicates(values, [str(symbols[i]) for i in named], unit)
    more = []
    if len(named) < len(symbols):
        more.append(f"{name}: {plural(len(symbols) - len(named), 'gene row')} without a symbol left out.")
    if merged:
        more.append(f"{name}: {plural(merged, 'gene row')} added, in linear space, to another of the same symbol.")
    cohort = Cohort(
        name=name,
        expression=values,
        genes=genes,
        unit=unit,
        clinical=clinical,
        subjects=subjects,
        sources=dict(sources),
        notes=(*notes, *more),
        simulated=(folder / "simulation.json").is_file(),
        omics=dict(omics or {}),
        tasks=tasks,
    )
    check_cohort(cohort)
    return cohort
