"""A trial's out-of-fold calls: each patient called by the network that had not seen them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.calls import calls_table
from aio_tune.config import RunFolder
from aio_tune.metrics import bootstrap_intervals, evaluate_calls
from aio_tune.search.rows import TrainingRows
from aio_tune.search.state import TrialRecord
from aio_tune.trial import trial_folder

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OutOfFold:
    """Calls of the samples that were in some fold's validation rows.

    Attributes:
        labels: class indices, shape (n,).
        probabilities: float32, shape (n, n_classes).
        fold_of: the fold whose network called, shape (n,).
        samples: id of each sample, shape (n,).
        patients: patient of each sample, shape (n,).
        classes: class names.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    fold_of: npt.NDArray[np.int8]
    samples: npt.NDArray[np.str_]
    patients: npt.NDArray[np.str_]
    classes: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """``oof_<metric>`` over all patients together, with its 95 % interval ``oof_<metric>_low`` and ``_high``.

        Pooled over folds, so not the mean over folds; the interval is of these patients and these networks: what
        another training or another choice of trial would change is not in it. Undefined metrics are left out.

        Raises:
            ValueError: two figures have one name, as those of a class called low would.
        """
        values = evaluate_calls(self.labels, self.probabilities, self.classes)
        intervals = bootstrap_intervals(self.labels, self.probabilities, self.classes, groups=self.patients)
        named: dict[str, float] = {}
        for name, value in values.items():
            low, high = intervals[name]
            more = {f"oof_{name}": value, f"oof_{name}_low": low, f"oof_{name}_high": high}
            if twice := named.keys() & more:
                raise ValueError(
                    f"Expected each figure under a name of its own. Received {min(twice)} twice. "
                    "Rename the class that it ends in, and prepare the dataset anew."
                )
            if np.isfinite([value, low, high]).all():
                named |= more
        return named

    def table(self) -> "pd.DataFrame":
        """As ``calls.csv`` has them, with the columns ``truth`` and ``fold`` at the end."""
        classes = np.asarray(self.classes)
        return calls_table(self.samples, self.probabilities, self.classes).assign(
            truth=classes[self.labels], fold=self.fold_of
        )


def trained_as(trial: TrialRecord) -> int:
    """Number of the trial whose folder holds what ``trial`` trained: an earlier one's if it shares its result."""
    return trial.number if trial.same_as is None else trial.same_as


def read_out_of_fold(run: RunFolder, trial: TrialRecord, rows: TrainingRows) -> OutOfFold:
    """The out-of-fold calls of a complete trial."""
    with np.load(trial_folder(run.trials, trained_as(trial)) / "oof.npz", allow_pickle=False) as stored:
        probabilities, fold_of = stored["probabilities"], stored["fold"]
    called = fold_of >= 0
    return OutOfFold(
        rows.labels[called].astype(np.int64),
        probabilities[called],
        fold_of[called],
        rows.samples["sample_id"].to_numpy(dtype=str)[called],
        rows.samples["patient_id"].to_numpy(dtype=str)[called],
        rows.task.classes,
    )
