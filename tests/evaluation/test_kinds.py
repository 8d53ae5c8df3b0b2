"""Models that look at further kinds of omics, on datasets and on files."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.cohorts import Assembly, GeneTable, Omics, OmicsUnit, Unit
from aio_tune.dataset import AioDataset, write_dataset
from aio_tune.errors import CohortError, EvaluationError
from aio_tune.evaluation import evaluate, read_samples
from aio_tune.models.ensemble import Prediction
from tests.evaluation.conftest import GENES, LinearModel, make_cohort


@dataclass(frozen=True)
class OmicsModel(LinearModel):
    """Remembers what it was shown."""

    unit: str = "beta"

    @property
    def omics(self) -> dict[str, str]:
        return {"methylation": self.unit}

    def predict(self, frame: pd.DataFrame) -> Prediction:
        SHOWN[:] = [frame]
        return super().predict(frame)


SHOWN: list[pd.DataFrame] = []


@pytest.fixture
def dataset(tmp_path: Path) -> AioDataset:
    cohorts = [make_cohort("A", 80, 0), make_cohort("B", 60, 1)]
    rng = np.random.default_rng(0)
    for i, cohort in enumerate(cohorts):
        grade = cohort.clinical["nhg"].str[1].astype(int).to_numpy()
        values = rng.normal(0.2 + 0.2 * grade[:, None], 0.05, (len(grade), len(GENES))).clip(0, 1).astype(np.float32)
        values[::6] = np.nan
        cohorts[i] = replace(cohort, omics={"methylation": Omics(values, OmicsUnit.BETA)})
    genes = GeneTable(GENES, ("1",) * len(GENES), np.arange(len(GENES)), "positions.tsv", "f" * 64)
    return write_dataset(Assembly(cohorts, genes, {}), tmp_path / "dataset")


def test_a_model_is_shown_every_kind_of_the_dataset_by_name(dataset: AioDataset) -> None:
    trained = OmicsModel.trained_on(dataset.samples(["A"]))
    evaluation = evaluate(trained, dataset, "B", bootstrap=20)
    (frame,) = SHOWN
    assert list(frame.columns) == [*GENES, *(f"methylation:{gene}" for gene in GENES)]
    assert frame.iloc[0, len(GENES) :].isna().all() and frame.iloc[1].notna().all()
    alone = evaluate(LinearModel.trained_on(dataset.samples(["A"])), dataset, "B", bootstrap=20)
    # The baseline sees what the model sees: here methylation tells more of the grade.
    plain = "PCA + logistic regression"
    assert evaluation.baselines[plain]["auc"][0] > alone.baselines[plain]["auc"][0] + 0.01


def test_another_unit_than_the_models_is_refused(dataset: AioDataset) -> None:
    with pytest.raises(EvaluationError, match=r"methylation as log2 ratio.*Received beta\."):
        evaluate(replace(OmicsModel.trained_on(dataset.samples(["A"])), unit="log2 ratio"), dataset, "B")


def write_files(folder: Path) -> Path:
    values = np.random.default_rng(0).normal(5, 1, (len(GENES), 3)).round(3)
    pd.DataFrame(values, index=list(GENES), columns=["S1", "S2", "S3"]).to_csv(folder / "new.csv")
    (folder / "omics.yaml").write_text("methylation: {file: m.csv, genes_in: columns, unit: beta}\n")
    (folder / "m.csv").write_text("sample,GENE1,GENE0,OTHER\nS3,0.5,0.25,1\nS1,1,0,1\nS9,0,0,0\n")
    return folder / "new.csv"


def test_a_file_with_an_omics_yaml_beside_it(tmp_path: Path) -> None:
    path = write_files(tmp_path)
    frame = read_samples(OmicsModel(), path, Unit.LOG2_TPM_1)
    assert list(frame.columns[: len(GENES) + 1]) == [*GENES, "methylation:GENE0"]
    nan = np.nan
    expected = np.float32([[0, 1], [nan, nan], [0.25, 0.5]])
    np.testing.assert_array_equal(frame[["methylation:GENE0", "methylation:GENE1"]], expected)
    assert frame.iloc[:, len(GENES) + 2 :].isna().all(axis=None)
    assert list(read_samples(LinearModel(), path, Unit.LOG2_TPM_1).columns) == list(GENES)  # which is not asked for it
    (tmp_path / "omics.yaml").unlink()
    assert list(read_samples(OmicsModel(), path, Unit.LOG2_TPM_1).columns) == list(GENES)


@pytest.mark.parametrize(
    ("file", "old", "new", "error", "said"),
    [
        ("m.csv", "0.25", "25", CohortError, "beta values in m.csv"),
        ("m.csv", "0.25", "", CohortError, "S3"),
        ("omics.yaml", "beta", "log2 ratio", CohortError, "look like copies"),
        ("omics.yaml", "m.csv", "n.csv", CohortError, "'n.csv', named in omics.yaml"),
    ],
)
def test_files_that_are_refused(
    tmp_path: Path, file: str, old: str, new: str, error: type[Exception], said: str
) -> None:
    path = write_files(tmp_path)
    (tmp_path / file).write_text((tmp_path / file).read_text().replace(old, new))
    with pytest.raises(error, match=said):
        read_samples(OmicsModel(), path, Unit.LOG2_TPM_1)


def test_a_file_in_another_unit_is_refused(tmp_path: Path) -> None:
    path = write_files(tmp_path)
    with pytest.raises(EvaluationError, match=r"methylation as log2 ratio, .*Received beta\."):
        read_samples(OmicsModel(unit="log2 ratio"), path, Unit.LOG2_TPM_1)
