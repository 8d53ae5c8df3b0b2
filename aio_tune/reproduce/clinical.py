"""What the series matrices alone can show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aio_tune.cohorts import gse81538, gse96058, gse163882
from aio_tune.cohorts.table_one import table_one
from aio_tune.evaluation.survival import separate
from aio_tune.reproduce.base import Item, compared, counts, holding, missing
from aio_tune.tasks import TASKS

if TYPE_CHECKING:
    import pandas as pd

# Cohort -> task -> Table 1's counts by class, then missing.
TABLE_ONE = {
    "GSE96058": {"ki67": "568 / 795 / 1,613", "nhg": "449 / 1,394 / 1,074 / 59"},
    "GSE81538": {"ki67": "231 / 174 / 0", "nhg": "48 / 167 / 190 / 0"},
    "GSE163882": {"nhg": "17 / 74 / 131 / 0"},
}
# Always answering the most frequent class; follows from Table 1.
MAJORITY = {("GSE163882", "nhg"): "0.590", ("GSE81538", "ki67"): "0.570", ("GSE81538", "nhg"): "0.469"}
# Characteristic -> accuracy of SCAN-B's own Ki67 calls (Brueffer et al., JCO Precis Oncol 2018) by the pathologists'.
SCAN_B = {"ki67 prediction mgc": "0.663", "ki67 prediction sgc": "0.767"}
# The paper counts them on the patients of both.
_SEQUENCERS = 2
_MATRIX = {"GSE96058": gse96058.SERIES_MATRIX, "GSE81538": gse81538.SERIES_MATRIX, "GSE163882": gse163882.SERIES_MATRIX}


def clinical_items(folders: Sequence[Path]) -> list[Item]:
    """Table 1, majority classes, Fig. 4a and SCAN-B's calls.

    Args:
        folders: that hold the series, or hold folders that do.

    Raises:
        CohortError: a series matrix is there and cannot be read.
    """
    found = _subjects(folders)
    items = table_one_items({name: table_one(subjects, TASKS) for name, subjects in found.items()})
    items += [_majority(name, task, paper, found.get(name)) for (name, task), paper in MAJORITY.items()]
    return [*items, _survival(found.get("GSE96058")), *_scan_b(_both_sequencers(found))]


def table_one_items(
    found: Mapping[str, Mapping[str, Mapping[str, int]]], tasks: Sequence[str] = ("ki67", "nhg")
) -> list[Item]:
    """Table 1 beside counts of subjects.

    Args:
        found: cohort -> task -> class or ``"missing"`` -> how many.
        tasks: rows of it.
    """
    items = []
    for name, printed in TABLE_ONE.items():
        for task in (task for task in printed if task in tasks):
            paper = printed[task]
            what = f"{name}, {TASKS[task].title}: {', '.join(TASKS[task].classes)}, missing"
            if name not in found:
                items.append(missing("Table 1", what, paper, f"no {_MATRIX[name]}"))
                continue
            items.append(compared("Table 1", what, paper, counts(found[name][task], [*TASKS[task].classes, "missing"])))
    return items


def _subjects(folders: Sequence[Path]) -> "dict[str, pd.DataFrame]":
    """The subjects of every cohort whose series matrices are there; GSE96058 is two cohorts."""
    places = {name: holding(folders, pattern) for name, pattern in _MATRIX.items()}
    found = gse96058.read_subjects(places["GSE96058"][0]) if places["GSE96058"] else {}
    for reader in (gse81538, gse163882):
        if places[reader.SERIES]:
            found[reader.SERIES] = reader.read_subjects(places[reader.SERIES][0])
    return found


def _both_sequencers(found: "Mapping[str, pd.DataFrame]") -> "pd.DataFrame | None":
    """GSE96058's patients on both sequencers, which is what SCAN-B's calls are counted on; None without either."""
    import pandas as pd

    parts = [subjects for name, subjects in found.items() if name.startswith(gse96058.SERIES)]
    return pd.concat(parts) if len(parts) == _SEQUENCERS else None


def _majority(name: str, task: str, paper: str, subjects: "pd.DataFrame | None") -> Item:
    what = f"{name}, {TASKS[task].title}: accuracy of always answering the most frequent class"
    if subjects is None:
        return missing("Table 1", what, paper, f"no {_MATRIX[name]}")
    known = subjects[task].dropna()
    return compared("Table 1", what, paper, f"{known.value_counts().max() / len(known):.3f}" if len(known) else "-")


def _survival(subjects: "pd.DataFrame | None") -> Item:
    what, paper = "overall survival by pathologists' Ki67: patients, log-rank p", "1,363, 0.014"
    if subjects is None or subjects["ki67"].isna().all():
        return missing("Fig. 4a", what, paper, f"no {_MATRIX['GSE96058']} of the HiSeq series")
    follow_up = subjects.rename(columns={"survival_days": "days", "survival_event": "event"})
    found = separate("Ki67", subjects["ki67"], follow_up, TASKS["ki67"].classes)
    groups = ", ".join(f"{group.name} {group.events} deaths in {group.n}" for group in found.groups)
    return compared("Fig. 4a", what, paper, f"{found.n:,}, {found.p:.3f}", f"p = {found.p:.4f}; {groups}")


def _scan_b(subjects: "pd.DataFrame | None") -> list[Item]:
    items = []
    for column, paper in SCAN_B.items():
        what = f"accuracy of SCAN-B's {column} by the pathologists' Ki67"
        if subjects is None or column not in subjects:
            why = "not both of" if subjects is None else f"no {column!r} in"
            items.append(missing("Comparison", what, paper, f"{why} {_MATRIX['GSE96058']}"))
            continue
        called = subjects[column].map({"0": "negative", "1": "positive"})
        both = subjects["ki67"].notna() & called.notna()
        right = (subjects["ki67"] == called)[both].mean()
        note = f"{int(both.sum()):,} patients of both sequencers"
        items.append(compared("Comparison", what, paper, f"{right:.3f}", note))
    return items
