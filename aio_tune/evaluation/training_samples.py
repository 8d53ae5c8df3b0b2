"""Where in a dataset a model's own training patients are: what baselines and linear weights are fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import AioDataset
from aio_tune.evaluation.predict import Predictor
from aio_tune.models.ensemble_files import hash_patients

if TYPE_CHECKING:
    import pandas as pd

ENOUGH_PATIENTS = 0.8
"""Share of the model's training patients below which a baseline would be of another training."""


@dataclass(frozen=True, eq=False)
class TrainingSamples:
    """A model's training samples with a known label, as far as a dataset has them.

    Attributes:
        cohorts: that they are of; the others need not be read.
        rows: their indices in ``AioDataset.matrix(cohorts)``, shape (n,).
        labels: their class indices, shape (n,).
        found: how many patients of how many these are, in words.
        enough: whether that is ``ENOUGH_PATIENTS``.
    """

    cohorts: list[str]
    rows: npt.NDArray[np.intp]
    labels: npt.NDArray[np.int8]
    found: str
    enough: bool


def find_training_samples(model: Predictor, dataset: AioDataset, cohorts: Sequence[str]) -> TrainingSamples:
    """Find the samples by the hashes of their patients.

    Args:
        model: says who its training patients were.
        dataset: that may hold them.
        cohorts: of it, that may.
    """
    task = dataset.task(model.task)
    samples = dataset.samples(list(cohorts))
    hashes = patient_hashes(samples)
    labelled = samples[task.name].notna().to_numpy(dtype=bool)
    rows = hashes.isin(model.training_patients).to_numpy(dtype=bool) & labelled
    used = [name for name in cohorts if (samples["cohort"][rows] == name).any()]
    n_there, n_all = hashes[rows].nunique(), len(model.training_patients)
    return TrainingSamples(
        cohorts=used,
        rows=np.flatnonzero(rows[samples["cohort"].isin(used).to_numpy()]),
        labels=task.encode(samples[task.name][rows] if rows.any() else ()),
        found=f"{n_there:,} of the model's {n_all:,} training patients",
        enough=n_there > 0 and n_there >= ENOUGH_PATIENTS * n_all,
    )


def patient_hashes(samples: "pd.DataFrame") -> "pd.Series[str]":
    """Hash of each sample's patient; ``hash_patients`` gives a set, which has no order, so one at a time."""
    return samples["patient_id"].astype(str).map(lambda patient: next(iter(hash_patients([patient]))))
