"""Simulated methylation and copy number."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import Cohort, assemble, find_positions, read_folder, read_positions, simulate
from aio_tune.errors import CohortError
from aio_tune.tasks import TASKS

KINDS = ("methylation", "copy_number")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("omics"), samples=(200, 60, 30), genes=256, seed=5, omics=KINDS)


@pytest.fixture(scope="module")
def cohorts(folder: Path) -> dict[str, Cohort]:
    assembly = assemble(read_folder(folder), read_positions(find_positions([folder])))
    return {cohort.name: cohort for cohort in assembly.cohorts}


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_some_patients_lack_a_kind_and_one_cohort_has_none(cohorts: dict[str, Cohort]) -> None:
    assert {name: tuple(cohort.omics) for name, cohort in cohorts.items()} == {
        "GSE96058": KINDS,
        "GSE96058-NextSeq": KINDS,
        "GSE81538": KINDS,
        "GSE163882": (),
    }
    for cohort in (cohorts["GSE96058"], cohorts["GSE81538"]):
        methylation, copy_number = (cohort.omics[kind].patients for kind in KINDS)
        assert 0.7 < methylation.mean() < 0.95
        assert 0.6 < copy_number.mean() < 0.9
        assert (methylation & ~copy_number).any() and (copy_number & ~methylation).any()
        assert any("without methylation" in note for note in cohort.notes)
        assert not any("in no cohort" in note for note in cohort.notes)


def test_expression_is_that_of_the_simulation_without(folder: Path, tmp_path: Path) -> None:
    plain = hashes(simulate(tmp_path, samples=(200, 60, 30), genes=256, seed=5))
    both = hashes(folder)
    assert both.keys() - plain.keys() == {
        "omics.yaml",
        "methylation_simulated.csv.gz",
        "copy_number_simulated.csv.gz",
    }
    assert {name for name in plain if plain[name] != both[name]} == {"simulation.json"}
    assert json.loads((folder / "simulation.json").read_text())["omics"] == list(KINDS)
    simulate(tmp_path, samples=(200, 60, 30), genes=256, seed=5, omics=KINDS)
    assert hashes(tmp_path) == both
    simulate(tmp_path, samples=(200, 60, 30), genes=256, seed=5)
    assert hashes(tmp_path) == plain


def test_methylation_falls_with_expression_and_knows_more_of_ki67(folder: Path, cohorts: dict[str, Cohort]) -> None:
    cohort = cohorts["GSE96058"]
    signal = json.loads((folder / "simulation.json").read_text())["signal_genes"]["proliferation"]
    beta = cohort.omics["methylation"].values
    genes = [cohort.genes.index(gene) for gene in signal]
    genes = [i for i in genes if not np.isnan(beta[:, i]).all()]
    labels = TASKS["ki67"].encode(cohort.clinical["ki67"])
    rows = cohort.omics["methylation"].patients & (labels >= 0)
    x, m, y = cohort.expression[rows][:, genes], beta[rows][:, genes], labels[rows]
    assert np.mean([np.corrcoef(x[:, i], m[:, i])[0, 1] for i in range(len(genes))]) < -0.25
    score = ((x - x.mean(0)) / x.std(0)).mean(1)
    rest = m.mean(1) - np.polyval(np.polyfit(score, m.mean(1), 1), score)
    assert rest[y == 1].mean() < rest[y == 0].mean() - 0.5 * rest.std()


def test_copy_number_goes_with_the_expression_of_its_genes(cohorts: dict[str, Cohort]) -> None:
    cohort = cohorts["GSE96058"]
    ratio = cohort.omics["copy_number"].values
    rows = cohort.omics["copy_number"].patients
    genes = np.flatnonzero(~np.isnan(ratio[rows]).any(axis=0))
    r = [np.corrcoef(cohort.expression[rows, i], ratio[rows, i])[0, 1] for i in genes]
    assert np.percentile(r, 90) > 0.3


@pytest.mark.parametrize("omics", [("proteins",), ("methylation", "methylation")])
def test_unknown_kinds_are_refused_before_anything_is_written(tmp_path: Path, omics: tuple[str, ...]) -> None:
    with pytest.raises(CohortError, match="of methylation, copy_number"):
        simulate(tmp_path / "sim", omics=omics)
    assert not (tmp_path / "sim").exists()
