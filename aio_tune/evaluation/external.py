"""A promoted model on a cohort that its search never saw."""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.calibration import NO_CALL, brier
from aio_tune.calls import calls_table
from aio_tune.dataset import AioDataset
from aio_tune.errors import EvaluationError
from aio_tune.evaluation.baselines import BASELINES, LogisticOnComponents, Majority
from aio_tune.evaluation.predict import Predictor
from aio_tune.evaluation.result import Estimate, Evaluation, NoCall
from aio_tune.evaluation.training_samples import ENOUGH_PATIENTS, find_training_samples
from aio_tune.evaluation.unseen import check_units, unseen_cohort
from aio_tune.metrics import bootstrap_intervals, confusion, evaluate_calls, mean_sd
from aio_tune.models.ensemble import kind_columns
from aio_tune.tasks import MISSING

if TYPE_CHECKING:
    from aio_tune.calibration import Calibration


def evaluate(
    ensemble: Predictor, dataset: AioDataset, cohort: str, *, bootstrap: int = 1000, seed: int = 0
) -> Evaluation:
    """Test a model on one cohort of a dataset.

    Args:
        ensemble: the model.
        dataset: holds the cohort. If it also holds at least 80 % of the patients that the model was trained on
            (recognised by their hashes), the classical baselines are fitted on these and tested beside the model.
        cohort: name of the cohort.
        bootstrap: draws of the intervals, at least 1.
        seed: of the draws and the baselines.

    Raises:
        OverlapError: a patient or profile of the cohort was in training.
        EvaluationError: the cohort is not in the dataset or has no label of the model's task, or the task's classes
            are not the model's, or a kind of omics is in another unit than the model's.
        RegistryError: the model refuses the samples, e.g. because too many genes are missing.
    """
    import pandas as pd

    task, samples, codes = unseen_cohort(ensemble, dataset, cohort)
    known = codes != MISSING
    labels, patients = codes[known], samples["patient_id"][known].to_numpy(dtype=str)

    check_units(ensemble, dataset)
    # The whole cohort, labelled or not, is the target batch of a transductive harmoniser.
    whole = dataset.matrix([cohort])
    prediction = ensemble.predict(pd.DataFrame(whole, columns=list(dataset.columns), copy=False)).only(known)
    x = whole[known]

    def estimates(p: npt.NDArray[np.floating]) -> dict[str, Estimate]:
        bounds = bootstrap_intervals(labels, p, task.classes, groups=patients, n=bootstrap, seed=seed)
        return {name: (value, *bounds[name]) for name, value in evaluate_calls(labels, p, task.classes).items()}

    most_frequent = Majority.fit(x, labels, task.classes, seed).predict(x)
    baselines, baseline_note = _baselines(ensemble, dataset, cohort, x, seed)
    plain = baselines.get(LogisticOnComponents.name)
    calls = calls_table(list(samples["sample_id"][known]), prediction.probabilities, task.classes)
    calibration = ensemble.calibration
    calibrated = None if calibration is None else calibration.calibrate(prediction.probabilities)
    return Evaluation(
        task=task.name,
        classes=task.classes,
        cohort=cohort,
        simulated=dataset.simulated([cohort]),
        dataset=dataset.fingerprint,
        n=len(labels),
        n_patients=len(set(patients)),
        n_unlabelled=int((~known).sum()),
        class_counts={name: int((labels == i).sum()) for i, name in enumerate(task.classes)},
        missing_genes=prediction.missing_genes,
        profiles_compared=dataset.genes == ensemble.genes,
        folds=mean_sd([evaluate_calls(labels, p, task.classes) for p in prediction.fold_probabilities]),
        ensemble=estimates(prediction.probabilities),
        majority_class=task.classes[int(most_frequent[0].argmax())],
        majority=evaluate_calls(labels, most_frequent, task.classes),
        baselines={name: estimates(p) for name, p in baselines.items()},
        baseline_note=baseline_note,
        brier=brier(labels, prediction.probabilities),
        brier_calibrated=math.nan if calibrated is None else brier(labels, calibrated),
        brier_baseline=math.nan if plain is None else brier(labels, plain),
        no_call=_no_calls(calibration, labels, prediction.probabilities),
        confusion=confusion(labels, prediction.probabilities, task.n_classes),
        labels=labels,
        probabilities=prediction.probabilities,
        calls=calls.assign(truth=samples[task.name][known].to_numpy()),
    )


def _no_calls(
    calibration: "Calibration | None", labels: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]
) -> tuple[NoCall, ...]:
    if calibration is None:
        return ()
    found = []
    for error in sorted(calibration.thresholds):
        decided = calibration.decide(probabilities, error)
        called = decided != NO_CALL
        held = calibration.in_set(probabilities, error)[np.arange(len(labels)), labels]
        right = float((decided[called] == labels[called]).mean()) if called.any() else math.nan
        found.append(NoCall(error, float(held.mean()), float(called.mean()), right))
    return tuple(found)


def _baselines(
    ensemble: Predictor, dataset: AioDataset, cohort: str, x: npt.NDArray[np.float32], seed: int
) -> tuple[dict[str, npt.NDArray[np.float64]], str]:
    """Probabilities of the baselines trained on the model's own training patients, by name; and what these were.

    Without the majority class of the training patients: that of the cohort itself is harder to beat, and is shown.

    Args:
        ensemble: the model.
        dataset: holds its training patients, or not.
        cohort: the cohort of ``x``, none of whose samples are for training.
        x: samples to be called, shape (n, n_columns), columns as in ``dataset``.
        seed: of the baselines.
    """
    task = dataset.task(ensemble.task)
    there = find_training_samples(ensemble, dataset, [name for name in dataset.cohort_names if name != cohort])
    if not there.enough:
        return {}, f"No baseline: the dataset has {there.found}, and at least {ENOUGH_PATIENTS:.0%} are needed."
    # The model's genes and kinds alone: what it cannot see, its baseline is not to see either.
    known = {*ensemble.genes, *kind_columns(ensemble.omics, ensemble.genes)}
    columns = np.flatnonzero([column in known for column in dataset.columns])
    n_genes = len(set(ensemble.genes).intersection(dataset.genes))
    training = dataset.matrix(there.cohorts)[np.ix_(there.rows, columns)]
    try:
        fitted = [one.fit(training, there.labels, task.classes, seed) for one in BASELINES if one is not Majority]
    except EvaluationError as error:
        return {}, f"No baseline: {error.problem}"
    note = f"Baselines trained on {len(there.rows):,} samples of {there.found}, {n_genes:,} genes."
    return {one.name: one.predict(x[:, columns]) for one in fitted}, note
