"""The real GSE96058 files, where AIO_TUNE_REAL_DATA names them: the paper's Table 1."""

from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import Cohort, assemble, find_positions, read_folder, read_positions, table_one
from aio_tune.tasks import TASKS

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cohorts(real_data: Path) -> dict[str, Cohort]:
    return {cohort.name: cohort for cohort in read_folder(real_data)}


def test_table_one_of_the_paper(cohorts: dict[str, Cohort]) -> None:
    subjects = cohorts["GSE96058"].subjects
    counts = table_one(subjects, TASKS)
    assert len(subjects) == subjects["patient_id"].nunique() == 2976
    assert counts["ki67"] == {"negative": 568, "positive": 795, "missing": 1613}
    assert counts["nhg"] == {"G1": 449, "G2": 1394, "G3": 1074, "missing": 59}
    assert subjects.index.str.endswith("repl").sum() == 7


def test_every_profile_is_in_one_cohort(cohorts: dict[str, Cohort]) -> None:
    """300 profiles: 275 HiSeq, 25 NextSeq, none of them a replicate; all labels as the data's README counts them."""
    assert {name: len(cohort.clinical) for name, cohort in cohorts.items()} == {"GSE96058": 275, "GSE96058-NextSeq": 25}
    together = [table_one(cohort.clinical, TASKS) for cohort in cohorts.values()]
    ki67 = {label: sum(counts["ki67"][label] for counts in together) for label in together[0]["ki67"]}
    nhg = {label: sum(counts["nhg"][label] for counts in together) for label in together[0]["nhg"]}
    assert ki67 == {"negative": 71, "positive": 80, "missing": 149}
    assert nhg == {"G1": 54, "G2": 137, "G3": 105, "missing": 4}
    assert sum(float(cohort.clinical["survival_event"].sum()) for cohort in cohorts.values()) == 34


def test_notes_count_titles_without_profile(cohorts: dict[str, Cohort]) -> None:
    for cohort in cohorts.values():
        assert "3,109 of 3,409 titles of the clinical table have no profile." in cohort.notes
    assert "GSE96058: 2,701 subjects of 2,976 have no profile." in cohorts["GSE96058"].notes


def test_assembly(cohorts: dict[str, Cohort], real_data: Path) -> None:
    assembly = assemble(list(cohorts.values()), read_positions(find_positions([real_data])))
    assert len(assembly.genes) == 9866
    assert not any(cohort.simulated for cohort in assembly.cohorts)
    for cohort in assembly.cohorts:
        assert cohort.expression.min() >= 0
        assert cohort.expression.max() < 20
        assert np.isfinite(cohort.expression).all()
