"""The linear baseline's weights, to hold a network's genes against."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import AioDataset
from aio_tune.errors import EvaluationError
from aio_tune.evaluation.baselines import LogisticOnComponents
from aio_tune.evaluation.external import ENOUGH_PATIENTS, patient_hashes
from aio_tune.tasks import get_task

if TYPE_CHECKING:
    from aio_tune.models.ensemble import Ensemble


@dataclass(frozen=True, eq=False)
class LinearWeights:
    """Weights of ``LogisticOnComponents``, or none.

    Attributes:
        weights: per standard deviation of a column, shape (n_classes, n_columns); None where there is none.
        note: what it was fitted on, or why it was not; one line.
    """

    weights: npt.NDArray[np.float64] | None
    note: str


def linear_weights(ensemble: "Ensemble", dataset: AioDataset, seed: int) -> LinearWeights:
    """Logistic regression on principal components, fitted on the model's own training patients.

    Args:
        ensemble: says by hash who these are.
        dataset: holds at least 80 % of them with a label, as for ``evaluate``, or there are no weights.
        seed: of the components.
    """
    import pandas as pd

    task = get_task(ensemble.task)
    samples = dataset.samples()
    labelled = samples[task.name].notna() if task.name in samples else pd.Series(False, index=samples.index)
    hashes = patient_hashes(samples)
    rows = hashes.isin(ensemble.training_patients).to_numpy(dtype=bool) & labelled.to_numpy(dtype=bool)
    n_there, n_all = hashes[rows].nunique(), len(ensemble.training_patients)
    found = f"{n_there:,} of the model's {n_all:,} training patients"
    if n_there == 0 or n_there < ENOUGH_PATIENTS * n_all:
        return LinearWeights(None, f"No linear weights: the dataset has {found}, {ENOUGH_PATIENTS:.0%} are needed.")
    used = [name for name in dataset.cohort_names if (samples["cohort"][rows] == name).any()]
    frame = pd.DataFrame(dataset.matrix(used), columns=list(dataset.columns), copy=False)
    x, _ = ensemble.arrange(frame[rows[samples["cohort"].isin(used).to_numpy()]])
    try:
        fitted = LogisticOnComponents.fit(x, task.encode(samples[task.name][rows]), task.classes, seed)
    except EvaluationError as error:
        return LinearWeights(None, f"No linear weights: {error.problem}")
    note = f"Linear weights: {LogisticOnComponents.name}, fitted on {int(rows.sum()):,} samples of {found}."
    return LinearWeights(fitted.weights(), note)
