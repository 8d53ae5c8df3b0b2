"""What every cohort format promises, over the list of formats: a new one is tested with no new test code."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.cohorts import FORMATS, Cohort, CohortFormat, assemble, check_cohort, table_one, to_common
from aio_tune.cohorts.clinical import clinical_columns
from aio_tune.errors import CohortError
from aio_tune.tasks import TASKS

pytestmark = pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name.split()[0])


@pytest.fixture
def folder(known: CohortFormat, example_folders: list[Path]) -> Path:
    claimed = [folder for folder in example_folders if known.claims(folder)]
    assert len(claimed) == 1, f"an example of {known.name} belongs into example_folders of conftest.py, once"
    return claimed[0]


@pytest.fixture
def cohorts(known: CohortFormat, folder: Path) -> list[Cohort]:
    return known.read(folder)


def test_cohorts_keep_what_their_docstring_promises(cohorts: list[Cohort]) -> None:
    assert cohorts
    for cohort in cohorts:
        check_cohort(cohort)
        assert cohort.expression.dtype == np.float32
        assert cohort.expression.shape == (len(cohort.clinical), len(cohort.genes))
        assert np.isfinite(cohort.expression).all()
        assert tuple(cohort.clinical.columns) == tuple(cohort.subjects.columns) == clinical_columns(TASKS)
        assert cohort.clinical.index.is_unique
        assert set(cohort.clinical.index) <= set(cohort.subjects.index)
        pd.testing.assert_frame_equal(cohort.clinical, cohort.subjects.loc[cohort.clinical.index])
        assert cohort.clinical["patient_id"].str.contains(":").all()


def test_values_are_possible_for_their_unit(cohorts: list[Cohort]) -> None:
    for cohort in cohorts:
        common = to_common(cohort.expression, cohort.unit)
        assert common.min() >= 0
        assert common.max() < 20


def test_sources_are_the_files_with_their_hashes(cohorts: list[Cohort], folder: Path) -> None:
    for cohort in cohorts:
        assert len(cohort.sources) >= 2
        for name, digest in cohort.sources.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_table_one_counts_every_subject_once(cohorts: list[Cohort]) -> None:
    for cohort in cohorts:
        for table in (cohort.subjects, cohort.clinical):
            counts = table_one(table, TASKS)
            assert list(counts) == list(TASKS)
            assert {sum(classes.values()) for classes in counts.values()} == {len(table)}
        assert any(sum(classes.values()) > classes["missing"] for classes in table_one(cohort.subjects, TASKS).values())


def test_reading_twice_gives_the_same(known: CohortFormat, folder: Path, cohorts: list[Cohort]) -> None:
    for first, second in zip(cohorts, known.read(folder), strict=True):
        np.testing.assert_array_equal(first.expression, second.expression)
        assert (first.name, first.genes, first.notes, first.sources) == (
            second.name,
            second.genes,
            second.notes,
            second.sources,
        )


def test_simulated_only_where_the_folder_says_so(cohorts: list[Cohort], folder: Path) -> None:
    expected = (folder / "simulation.json").is_file()
    assert {cohort.simulated for cohort in cohorts} == {expected}


def test_no_patient_is_in_two_cohorts_of_one_format(cohorts: list[Cohort]) -> None:
    patients = [set(cohort.subjects["patient_id"]) for cohort in cohorts]
    assert len(set().union(*patients)) == sum(map(len, patients))


def test_select_genes_takes_columns_by_name(cohorts: list[Cohort]) -> None:
    for cohort in cohorts:
        pair = (cohort.genes[1], cohort.genes[0])
        chosen = cohort.select_genes(pair)
        assert chosen.genes == pair
        np.testing.assert_array_equal(chosen.expression, cohort.expression[:, [1, 0]])


def test_an_empty_folder_is_not_claimed(known: CohortFormat, tmp_path: Path) -> None:
    assert not known.claims(tmp_path)


def test_one_file_of_several_is_a_clear_error(known: CohortFormat, folder: Path, tmp_path: Path) -> None:
    """Every file of the format alone: claimed or not, it is never read as a cohort."""
    for source in folder.iterdir():
        lonely = tmp_path / source.name
        lonely.mkdir()
        (lonely / source.name).write_bytes(source.read_bytes())
        if known.claims(lonely):
            with pytest.raises(CohortError, match=r"Expected .* Received"):
                known.read(lonely)


def test_a_file_cut_short_is_refused(known: CohortFormat, folder: Path, tmp_path: Path) -> None:
    """Half of any gzip file of the folder: one clear error, no half cohort."""
    names = {name for cohort in known.read(folder) for name in cohort.sources if name.endswith(".gz")}
    for cut in names:
        damaged = tmp_path / cut
        damaged.mkdir()
        for source in folder.iterdir():
            content = source.read_bytes()
            (damaged / source.name).write_bytes(content[: len(content) // 2] if source.name == cut else content)
        with pytest.raises(CohortError, match="truncated") as error:
            known.read(damaged)
        assert "\n" not in str(error.value)
        assert cut in str(error.value)


def test_nothing_in_common_is_an_error(cohorts: list[Cohort], known: CohortFormat) -> None:
    from dataclasses import replace

    from aio_tune.cohorts import GenePositions

    stranger = replace(cohorts[0], name="stranger", genes=tuple(f"other{i}" for i in range(len(cohorts[0].genes))))
    with pytest.raises(CohortError, match="Received none in common"):
        assemble([cohorts[0], stranger], GenePositions({}, "none", ""))
