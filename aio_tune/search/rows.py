"""The rows that a search may learn from, and how they are split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil

from aio_tune.dataset import AioDataset, StoredRows
from aio_tune.errors import SearchError
from aio_tune.expression import Matrix
from aio_tune.folds import Folds, make_folds
from aio_tune.tasks import MISSING, Task


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a dataset that a search may learn from: its training cohorts' patients whose label is known.

    Attributes:
        task: the clinical question.
        samples: one row per patient, as ``AioDataset.samples`` gives them.
        labels: int8 class indices, shape (n,), none missing.
        stored: where their expression is, log2(TPM+1), and beside it the other kinds, shape (n, kinds * genes).
        folds: K folds over these rows.
        in_memory: whether that fits into the memory budget; past it, each node reads it from its own disk.
    """

    task: Task
    samples: pd.DataFrame
    labels: npt.NDArray[np.int8]
    stored: StoredRows
    folds: Folds
    in_memory: bool = True

    @property
    def patients(self) -> npt.NDArray[np.str_]:
        """Patient of each row."""
        return self.samples["patient_id"].to_numpy(dtype=str)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of omics that stand side by side in ``expression()``."""
        return self.stored.dataset.kinds

    def expression(self) -> Matrix:
        """Expression of the rows: read into memory anew, or, past the budget, on this machine's disk.

        Raises:
            DatasetError: it cannot be read, or unpacked.
        """
        return self.stored.read() if self.in_memory else self.stored.open()

    def split_again(self, seed: int) -> "TrainingRows":
        """The same rows in other folds, as many."""
        return replace(self, folds=make_folds(self.labels, self.patients, self.folds.k, seed, self.task.classes))

    def only(self, rows: npt.NDArray[np.int64], seed: int) -> "TrainingRows":
        """Some of the rows, in as many folds of their own.

        Args:
            rows: their indices.
            seed: of the folds.

        Raises:
            SearchError: a class has too few patients among them.
        """
        labels, samples = self.labels[rows], self.samples.iloc[rows].reset_index(drop=True)
        patients = samples["patient_id"].to_numpy(dtype=str)
        folds = make_folds(labels, patients, self.folds.k, seed, self.task.classes)
        return replace(self, samples=samples, labels=labels, stored=self.stored.only(rows), folds=folds)

    def class_counts(self) -> dict[str, int]:
        return {name: int((self.labels == i).sum()) for i, name in enumerate(self.task.classes)}


def training_rows(
    dataset: AioDataset,
    task_name: str,
    cohorts: Sequence[str],
    k: int,
    seed: int,
    memory_budget: float | None = None,
) -> TrainingRows:
    """Choose the rows and split them into folds; the same for everyone who asks with the same arguments.

    Args:
        dataset: where they are.
        task_name: their label must be known.
        cohorts: of the dataset.
        k: number of folds.
        seed: of the folds.
        memory_budget: GiB that their expression may take in a node's memory; None is a quarter of this machine's.

    Raises:
        SearchError: a cohort is not in the dataset, or a class of the task has fewer than k patients, or none.
    """
    unknown = [name for name in cohorts if name not in dataset.cohort_names]
    if unknown:
        raise SearchError(
            f"Expected training cohorts out of {', '.join(dataset.cohort_names)}. Received {', '.join(unknown)}.",
            "Name others with --set train_on='[NAME]'.",
        )
    task = dataset.task(task_name)
    samples = dataset.samples()
    codes = task.encode(samples[task.name])
    known = np.flatnonzero(samples["cohort"].isin(cohorts) & (codes != MISSING))
    samples, labels = samples.iloc[known].reset_index(drop=True), codes[known]
    if not len(labels):
        raise SearchError(
            f"Expected patients with a known {task.title} in {', '.join(cohorts)}. Received none.",
            "`aio-tune describe` counts the labels of every cohort.",
        )
    folds = make_folds(labels, samples["patient_id"].to_numpy(), k, seed, task.classes)
    stored = StoredRows.of(dataset, known)
    budget = psutil.virtual_memory().total / 4 if memory_budget is None else memory_budget * 2**30
    return TrainingRows(task, samples, labels, stored, folds, in_memory=stored.nbytes <= budget)
