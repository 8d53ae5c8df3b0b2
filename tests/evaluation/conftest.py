"""Three small cohorts on disk, and a model that needs no network."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from aio_tune.calibration import Calibration
from aio_tune.cohorts import Assembly, Cohort, GeneTable, Unit
from aio_tune.dataset import AioDataset, write_dataset
from aio_tune.models.ensemble import Prediction
from aio_tune.tasks import TASKS

GENES = tuple(f"GENE{i}" for i in range(30))
SIGNAL = slice(0, 10)  # columns that rise with the grade


@dataclass(frozen=True)
class LinearModel:
    """Stands in for an ensemble: K noisy readings of the signal genes, and what an ensemble tells of its training."""

    task: str = "nhg"
    training_patients: frozenset[str] = frozenset()
    training_profiles: frozenset[str] = frozenset()
    k: int = 3

    @property
    def classes(self) -> tuple[str, ...]:
        return TASKS[self.task].classes

    @property
    def genes(self) -> tuple[str, ...]:
        return (*GENES, "GENE_X")

    @property
    def omics(self) -> dict[str, str]:
        return {}

    @property
    def calibration(self) -> Calibration:
        return Calibration(1.25, {0.1: 0.2, 0.2: 0.4}, 100)

    def predict(self, frame: pd.DataFrame) -> Prediction:
        score = frame[list(GENES[SIGNAL])].to_numpy(np.float64).mean(axis=1, keepdims=True) - 5.8
        rng = np.random.default_rng(0)
        logits = score * np.linspace(-4, 4, len(self.classes)) + rng.normal(0, 0.3, (self.k, *score.shape))
        folds = np.exp(logits + rng.normal(0, 0.3, logits.shape))
        folds /= folds.sum(axis=2, keepdims=True)
        return Prediction(folds.mean(axis=0).astype(np.float32), folds.astype(np.float32), ("GENE_X",))

    @classmethod
    def trained_on(cls, samples: pd.DataFrame, task: str = "nhg") -> "LinearModel":
        used = samples[samples[task].notna()]
        patients = {hashlib.sha256(patient.encode()).hexdigest() for patient in used["patient_id"]}
        return cls(task, frozenset(patients), frozenset(used["profile_sha256"]))


def make_cohort(name: str, n: int, seed: int) -> Cohort:
    """``n`` samples of ``n - 5`` patients; NHG of all, Ki67 of three in four, no other label."""
    rng = np.random.default_rng(seed)
    grade = rng.integers(3, size=n)
    x = rng.normal(5, 1, (n, len(GENES)))
    x[:, SIGNAL] += 0.8 * grade[:, None]
    columns: dict[str, object] = {"patient_id": [f"{name}:P{min(i, n - 6)}" for i in range(n)]}
    columns |= {task: pd.Series([None] * n, dtype="str") for task in TASKS}
    columns["nhg"] = np.array(["G1", "G2", "G3"])[grade]
    ki67 = np.where(grade == 2, "positive", "negative").astype(object)
    ki67[::4] = None
    columns["ki67"] = pd.Series(ki67, dtype="str")
    clinical = pd.DataFrame({**columns, "survival_days": np.nan, "survival_event": np.nan, "platform": "none"})
    clinical.index = pd.Index([f"{name}:S{i}" for i in range(n)], dtype="str", name="sample_id")
    return Cohort(name, x.clip(0).astype(np.float32), GENES, Unit.LOG2_TPM_1, clinical, clinical)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> AioDataset:
    cohorts = [make_cohort("A", 80, 0), make_cohort("B", 60, 1), make_cohort("C", 20, 2)]
    genes = GeneTable(GENES, ("1",) * len(GENES), np.arange(len(GENES)), "positions.tsv", "f" * 64)
    return write_dataset(Assembly(cohorts, genes, {}), tmp_path_factory.mktemp("data") / "dataset")
