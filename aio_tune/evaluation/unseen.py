"""A cohort that a model can be judged on: of its task and units, and none of whose patients it learnt from."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import AioDataset
from aio_tune.errors import EvaluationError, OverlapError
from aio_tune.evaluation.predict import Predictor
from aio_tune.evaluation.training_samples import patient_hashes
from aio_tune.tasks import MISSING, Task

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 3  # overlapping samples named in the message


def unseen_cohort(
    ensemble: Predictor, dataset: AioDataset, cohort: str
) -> "tuple[Task, pd.DataFrame, npt.NDArray[np.int8]]":
    """The model's task, the samples of a cohort that it never saw, and their class indices, ``MISSING`` where unknown.

    Raises:
        OverlapError: a patient or profile of the cohort was in training.
        EvaluationError: the cohort is not in the dataset or has no label of the task, or the classes differ.
    """
    task = dataset.task(ensemble.task)
    if task.classes != ensemble.classes:
        raise EvaluationError(
            f"Expected a model of the classes {', '.join(task.classes)}. Received one of {', '.join(ensemble.classes)}."
        )
    if cohort not in dataset.cohort_names:
        raise EvaluationError(
            f"Expected a cohort of the dataset, one of {', '.join(dataset.cohort_names)}. Received {cohort!r}."
        )
    samples = dataset.samples([cohort])
    check_unseen(ensemble, samples, cohort)
    return task, samples, _known_labels(dataset, samples, task, cohort)


def check_unseen(ensemble: Predictor, samples: "pd.DataFrame", cohort: str) -> None:
    """Refuse samples that the model learnt from, labelled or not.

    By patient id, and by profile: the same measurement under another name. Profiles are compared as the dataset has
    them, so that only an equal list of genes can show an equal profile.

    Args:
        ensemble: the model.
        samples: columns ``sample_id``, ``patient_id`` and ``profile_sha256``.
        cohort: their name, for the message.

    Raises:
        OverlapError: naming how many samples of how many, and the first few.
    """
    seen_patient = patient_hashes(samples).isin(ensemble.training_patients)
    seen_profile = samples["profile_sha256"].isin(ensemble.training_profiles)
    overlap = samples["sample_id"][seen_patient | seen_profile].astype(str).tolist()
    if not overlap:
        return
    named = ", ".join(overlap[:_NAMED]) + (", ..." if len(overlap) > _NAMED else "")
    raise OverlapError(
        f"Expected a cohort that the model never saw. Received {cohort}, {len(overlap):,} of whose "
        f"{len(samples):,} samples were in training ({int(seen_patient.sum()):,} by patient id, "
        f"{int(seen_profile.sum()):,} by profile): {named}.",
        "Evaluate on another cohort.",
    )


def check_units(ensemble: Predictor, dataset: AioDataset) -> None:
    """A kind that the dataset lacks is masked; one in another unit would be taken for what it is not.

    Raises:
        EvaluationError: the dataset has a kind in another unit than the model's.
    """
    for kind in dataset.manifest.kinds:
        unit = ensemble.omics.get(kind.name, kind.unit)
        if kind.unit != unit:
            raise EvaluationError(
                f"Expected {kind.name} as {unit}, which the model learnt from. Received {kind.unit.value}.",
                "Convert it and prepare the dataset again.",
            )


def _known_labels(dataset: AioDataset, samples: "pd.DataFrame", task: Task, cohort: str) -> npt.NDArray[np.int8]:
    codes = task.encode(samples[task.name])
    if not (codes != MISSING).any():
        labelled = [name for name in dataset.tasks if samples[name].notna().any()]
        raise EvaluationError(
            f"Expected samples of {cohort} with a known {task.title} ({task.name}). "
            f"Received labels of {', '.join(labelled) or 'no task'} only.",
            "`aio-tune describe` counts the labels of every cohort.",
        )
    return codes
