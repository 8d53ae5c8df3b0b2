"""A promoted model on a cohort that its search never saw."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.calibration import NO_CALL, brier
from aio_tune.calls import calls_table
from aio_tune.dataset import AioDataset
from aio_tune.errors import EvaluationError, OverlapError
from aio_tune.evaluation.baselines import BASELINES, LogisticOnComponents, Majority
from aio_tune.evaluation.predict import Predictor
from aio_tune.evaluation.training_samples import ENOUGH_PATIENTS, find_training_samples, patient_hashes
from aio_tune.metrics import bootstrap_intervals, confusion, evaluate_calls, mean_sd
from aio_tune.models.ensemble import kind_columns
from aio_tune.tasks import MISSING, Task

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.calibration import Calibration

Metrics = dict[str, float]
Estimate = tuple[float, float, float]


@dataclass(frozen=True)
class NoCall:
    """What comes of calling those alone whose set, by the model's conformal thresholds, holds one class.

    Attributes:
        error: tolerated share of sets without the true class; what the thresholds promise for patients like those in
            training.
        held: share of sets with the true class; less than 1 - ``error`` shows a shift.
        called: share of samples that are called.
        accuracy: of these calls, NaN where there is none.
    """

    error: float
    held: float
    called: float
    accuracy: float


_NAMED = 3  # overlapping samples named in the message


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out. Metrics are those of ``aio_tune.metrics.evaluate_calls``, in [0, 1], higher is better.

    Attributes:
        task: the clinical question.
        classes: class names.
        cohort: where the patients are from.
        simulated: whether that cohort was simulated.
        dataset: fingerprint of the dataset.
        n: samples with a known label, which everything here is about.
        n_patients: how many patients these are.
        n_unlabelled: samples left out for want of a label.
        class_counts: class -> samples.
        missing_genes: genes of the model that the dataset lacks.
        profiles_compared: whether the dataset's genes are the model's, so that patients of the training would be known
            by their profiles too, and not by their ids alone.
        folds: metric -> mean and standard deviation over the K fold networks, each on the whole cohort.
        ensemble: metric -> value, low and high: that of the mean of their probabilities, and its 95 % bootstrap
            interval over patients.
        majority_class: the cohort's most frequent class. To know it is to have seen the labels, so no model is owed
            to beat it; one that does not is of no use there.
        majority: metrics of always answering it.
        baselines: name -> metric -> value, low and high, of the classical baselines, fitted on the model's training
            patients and its genes and tested on the same samples, intervals drawn as for the ensemble; empty where
            ``baseline_note`` says why there is none.
        baseline_note: what the baselines were trained on, or why there is none; one line.
        brier: Brier's score of the ensemble's probabilities, lower is better; see ``aio_tune.calibration.brier``.
        brier_calibrated: the same at the model's temperature, NaN where it has none.
        brier_baseline: that of logistic regression on components, NaN where there is none.
        no_call: for each error that the model has a threshold for, ascending.
        confusion: counts of the ensemble's calls, shape (n_classes, n_classes), [true, called].
        labels: class indices, shape (n,).
        probabilities: by the ensemble, shape (n, n_classes); with ``labels`` what a ROC curve needs.
        calls: one row per sample, see ``aio_tune.calls.calls_table``, and its label as ``truth``.

    Whatever is undefined, like the AUC of a cohort of one class, is NaN.
    """

    task: str
    classes: tuple[str, ...]
    cohort: str
    simulated: bool
    dataset: str
    n: int
    n_patients: int
    n_unlabelled: int
    class_counts: dict[str, int]
    missing_genes: tuple[str, ...]
    profiles_compared: bool
    folds: dict[str, tuple[float, float]]
    ensemble: dict[str, Estimate]
    majority_class: str
    majority: Metrics
    baselines: dict[str, dict[str, Estimate]]
    baseline_note: str
    brier: float
    brier_calibrated: float
    brier_baseline: float
    no_call: tuple[NoCall, ...]
    confusion: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]
    probabilities: npt.NDArray[np.floating]
    calls: "pd.DataFrame"

    def flat_metrics(self) -> Metrics:
        """Every figure under one name, for tracking.

        ``auc`` is the ensemble's, with ``auc_low`` and ``auc_high``; ``fold_auc_mean`` and ``fold_auc_sd`` are over
        the folds; ``majority_auc``, ``pca_logistic_auc``, and the baselines' ``_low`` and ``_high``, are as they say.
        ``called_10`` is the share that is called at a tolerated error of 10 %, ``called_10_accuracy`` how many of these
        calls are right, ``held_10`` the share of sets with the true class.

        Raises:
            ValueError: two figures have one name.
        """
        flat = _flat("", self.ensemble)
        for name, (mean, sd) in self.folds.items():
            flat |= {f"fold_{name}_mean": mean, f"fold_{name}_sd": sd}
        flat |= {f"majority_{name}": value for name, value in self.majority.items()}
        for baseline in BASELINES:
            flat |= _flat(f"{baseline.key}_", self.baselines.get(baseline.name, {}))
        flat |= {"brier": self.brier, "brier_calibrated": self.brier_calibrated, "brier_baseline": self.brier_baseline}
        for one in self.no_call:
            percent = round(100 * one.error)
            flat |= {f"called_{percent}": one.called, f"called_{percent}_accuracy": one.accuracy,
                     f"held_{percent}": one.held}  # fmt: skip
        return flat

    def as_dict(self) -> dict[str, Any]:
        """The evaluation in JSON values, undefined figures as None; without the samples' own rows."""
        left_out = {"labels", "probabilities", "calls"}
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in left_out}
        return {name: _json_value(value) for name, value in fields.items()}


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


def _flat(prefix: str, estimates: Mapping[str, Estimate]) -> Metrics:
    """Each metric and the ends of its interval.

    Raises:
        ValueError: two figures have one name, as those of a class called low would.
    """
    flat: Metrics = {}
    for name, (value, low, high) in estimates.items():
        more = {f"{prefix}{name}": value, f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
        if twice := flat.keys() & more:
            raise ValueError(
                f"Expected each figure under a name of its own. Received {min(twice)} twice. "
                "Rename the class that it ends in, and prepare the dataset anew."
            )
        flat |= more
    return flat


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _json_value(dataclasses.asdict(value))
    return None if isinstance(value, float) and math.isnan(value) else value
