"""What needs the whole expression tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aio_tune.cohorts import gse81538, gse96058, gse163882, read_folder
from aio_tune.cohorts.units import to_common
from aio_tune.reproduce.base import Item, compared, holding, missing

if TYPE_CHECKING:
    from aio_tune.cohorts import Cohort

SHARED = "16,889"
CORRELATION = {"GSE81538": "0.99", "GSE163882": "0.79"}
PROFILES = {"GSE96058": 2976, "GSE81538": 405, "GSE163882": 222}
"""How many the paper has of each; with fewer it is another work."""
_TABLES = {"GSE96058": gse96058.EXPRESSION, "GSE81538": gse81538.EXPRESSION, "GSE163882": gse163882.EXPRESSION}


def expression_items(folders: Sequence[Path]) -> list[Item]:
    """Genes that the cohorts share, and Pearson's R of their mean expression, log2(TPM+1).

    Args:
        folders: that hold the series, or hold folders that do.

    Raises:
        CohortError: files are there and cannot be read.
    """
    lacking = {name: pattern for name, pattern in _TABLES.items() if not holding(folders, pattern)}
    what = "genes shared by the three cohorts"
    pairs = {name: f"mean expression, GSE96058 to {name}: Pearson's R" for name in CORRELATION}
    if "GSE96058" in lacking or len(lacking) == 2:
        note = "; ".join(f"no {pattern}" for pattern in lacking.values())
        return [
            missing("Methods", what, SHARED, note),
            *(missing("Fig. S1", pairs[n], CORRELATION[n], note) for n in pairs),
        ]
    cohorts = {name: _cohort(name, folders) for name in _TABLES if name not in lacking}
    few = [f"{n}: {len(c.expression):,} of {PROFILES[n]:,} profiles" for n, c in cohorts.items()
           if len(c.expression) < PROFILES[n]]  # fmt: skip
    items = []
    for name, pair in pairs.items():
        note = f"no {lacking[name]}" if name in lacking else "; ".join(few)
        items.append(missing("Fig. S1", pair, CORRELATION[name], note) if note else
                     compared("Fig. S1", pair, CORRELATION[name],
                              f"{_correlation(cohorts['GSE96058'], cohorts[name]):.2f}"))  # fmt: skip
    note = "; ".join([*(f"no {pattern}" for pattern in lacking.values()), *few])
    if note:
        return [missing("Methods", what, SHARED, note), *items]
    shared = set.intersection(*(set(cohort.genes) for cohort in cohorts.values()))
    return [compared("Methods", what, SHARED, f"{len(shared):,}"), *items]


def _cohort(name: str, folders: Sequence[Path]) -> "Cohort":
    return next(cohort for cohort in read_folder(holding(folders, _TABLES[name])[0]) if cohort.name == name)


def _correlation(one: "Cohort", other: "Cohort") -> float:
    shared = tuple(sorted(set(one.genes) & set(other.genes)))
    means = []
    for cohort in (one, other):
        common = to_common(cohort.expression.copy(), cohort.unit)
        column = {gene: i for i, gene in enumerate(cohort.genes)}
        means.append(common[:, [column[gene] for gene in shared]].mean(axis=0, dtype=np.float64))
    return float(np.corrcoef(*means)[0, 1])
