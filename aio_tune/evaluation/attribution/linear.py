"""The linear baseline's weights, to hold a network's genes against."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import AioDataset
from aio_tune.errors import EvaluationError
from aio_tune.evaluation.baselines import LogisticOnComponents
from aio_tune.evaluation.training_samples import ENOUGH_PATIENTS, find_training_samples

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

    task = dataset.task(ensemble.task)
    there = find_training_samples(ensemble, dataset, dataset.cohort_names)
    if not there.enough:
        needed = f"{ENOUGH_PATIENTS:.0%} are needed"
        return LinearWeights(None, f"No linear weights: the dataset has {there.found}, {needed}.")
    frame = pd.DataFrame(dataset.matrix(there.cohorts), columns=list(dataset.columns), copy=False)
    x, _ = ensemble.arrange(frame.iloc[there.rows])
    try:
        fitted = LogisticOnComponents.fit(x, there.labels, task.classes, seed)
    except EvaluationError as error:
        return LinearWeights(None, f"No linear weights: {error.problem}")
    note = f"Linear weights: {LogisticOnComponents.name}, fitted on {len(there.rows):,} samples of {there.found}."
    return LinearWeights(fitted.weights(), note)
