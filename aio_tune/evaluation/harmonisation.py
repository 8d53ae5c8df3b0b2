"""Which harmoniser a model should have had for a cohort of another platform, found without that cohort's labels."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import AioDataset
from aio_tune.errors import EvaluationError
from aio_tune.evaluation.rehearsal import Rehearsal
from aio_tune.evaluation.result import Estimate
from aio_tune.evaluation.training_samples import ENOUGH_PATIENTS, TrainingSamples, find_training_samples
from aio_tune.evaluation.unseen import unseen_cohort
from aio_tune.folds import Folds, make_folds
from aio_tune.harmonise import HARMONISERS, LEAST_BATCH, SINGLE_SAMPLE, Unchanged
from aio_tune.kinds import EXPRESSION
from aio_tune.metrics import bootstrap_intervals, evaluate_calls, mean_sd
from aio_tune.models.ensemble import Ensemble
from aio_tune.tasks import Task

if TYPE_CHECKING:
    from aio_tune.training import Shelf

DISGUISES = 5
"""Draws of a rehearsal's noise for each fold."""

Floats = npt.NDArray[np.float32]
Spread = tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """What became of one harmoniser. AUC as ``evaluate_calls`` has it, 0..1, mean and sd over the fold networks.

    Attributes:
        harmoniser: its name.
        transductive: whether it needs the whole target cohort at once.
        inside: on each network's own validation patients, of the training cohorts.
        rehearsed: on the same patients disguised as the target, see ``study``; single-sample members are chosen by it.
        outside: on the target, each network by itself.
        ensemble: of the networks' mean probabilities on the target, with its 95 % bootstrap interval over patients.
        won_back: share of the AUC lost to the shift, 1 all of it, below 0 if more is lost; NaN where nothing was lost.
    """

    harmoniser: str
    transductive: bool
    inside: Spread
    rehearsed: Spread
    outside: Spread
    ensemble: Estimate
    won_back: float


@dataclass(frozen=True)
class Study:
    """One configuration, trained anew with each harmoniser.

    Attributes:
        task: name of the clinical question.
        cohort: the target.
        trained_on: training samples.
        tested_on: samples of the target with a known label.
        folds: networks for each harmoniser.
        epochs: of each.
        own: the harmoniser that the model itself has.
        lost: AUC ``inside`` less AUC ``outside``, without a harmoniser: what the shift costs.
        chosen: a single-sample harmoniser; see ``choose``.
        outcomes: single-sample members first, each kind in the order of ``HARMONISERS``.
        missing_genes: genes of the model that the dataset lacks, and these networks did without.
    """

    task: str
    cohort: str
    trained_on: int
    tested_on: int
    folds: int
    epochs: int
    own: str
    lost: float
    chosen: str
    outcomes: tuple[Outcome, ...]
    missing_genes: tuple[str, ...] = ()

    @property
    def won_back(self) -> float:
        """Share of the loss that the chosen harmoniser wins back."""
        return next(outcome.won_back for outcome in self.outcomes if outcome.harmoniser == self.chosen)


def study(
    model: Ensemble,
    dataset: AioDataset,
    cohort: str,
    *,
    epochs: int = 0,
    folds: int = 0,
    seed: int = 0,
    watch: Callable[[int, int], None] = lambda done, of: None,
) -> Study:
    """Train a model's configuration anew with each harmoniser, and test each on a cohort that none has seen.

    The target's labels are for the last columns only. A single-sample harmoniser is chosen before, by a rehearsal: the
    validation patients of each fold, whose labels are those of the training cohorts, are given the target's look (see
    `Rehearsal`) in ``DISGUISES`` ways, and the harmoniser that lets networks read these best is taken; see ``choose``.

    Args:
        model: its configuration, training patients, number of folds and genes, as far as the dataset has them, are
            used, not its weights.
        dataset: with the target and at least 80 % of the model's training patients.
        cohort: the target, of at least ``LEAST_BATCH`` samples.
        epochs: of each network; 0 takes what the model says of its own.
        folds: networks for each harmoniser; 0 as many as the model has.
        seed: of the folds and the networks.
        watch: told how many harmonisers are done, and of how many.

    Raises:
        OverlapError: a patient or profile of the target was in training.
        EvaluationError: too few of the model's training patients or of the target's samples are in the dataset, the
            target has no label or those of one class alone, or the epochs are not known.
        RegistryError: the dataset lacks more of the model's genes than the model allows samples to lack.
    """
    task, samples, codes = unseen_cohort(model, dataset, cohort)
    if len(samples) < LEAST_BATCH:
        raise EvaluationError(f"Expected at least {LEAST_BATCH} samples of {cohort}. Received {len(samples)}.")
    present = np.unique(codes[codes >= 0])
    if len(present) == 1:
        raise EvaluationError(
            f"Expected labelled samples of two classes or more in {cohort}. Received {task.classes[present[0]]} alone.",
            "Without the others no AUC tells what a harmoniser wins back.",
        )
    training = _training(model, dataset, cohort, task, epochs, folds, seed)
    order = sorted(HARMONISERS, key=lambda name: HARMONISERS[name].transductive)
    trained: dict[str, _Trained] = {}
    for name in order:
        trained[name] = training.run(name)
        watch(len(trained), len(order))
    chosen = choose({name: [fold["auc"] for fold in trained[name].rehearsed] for name in SINGLE_SAMPLE})
    # From here on the target's labels are used.
    labelled = np.flatnonzero(codes >= 0)
    patients = samples["patient_id"].to_numpy(dtype=str)[labelled]
    labels = _Labels(labelled, codes[labelled], patients, task.classes, seed)
    plain = trained[Unchanged.name]
    outside = labels.auc(plain.target)[0]
    lost = mean_sd(plain.inside)["auc"][0] - outside
    return Study(
        task=task.name,
        cohort=cohort,
        trained_on=len(training.y),
        tested_on=len(labelled),
        folds=training.folds.k,
        epochs=training.epochs,
        own=str(training.params.get("harmoniser", Unchanged.name)),
        lost=lost,
        chosen=chosen,
        outcomes=tuple(_outcome(name, one, labels, outside, lost) for name, one in trained.items()),
        missing_genes=training.missing_genes,
    )


def choose(rehearsed: Mapping[str, Sequence[float]]) -> str:
    """The harmoniser with the best rehearsal, or none at all if it gains no more than one standard error.

    To do nothing is the simplest, so a gain that the folds do not agree on is not worth it: the one standard error rule
    (Breiman, Friedman, Olshen & Stone, Classification and Regression Trees, 1984), on the paired differences of folds.

    Args:
        rehearsed: harmoniser -> AUC on each fold's disguised patients, the same folds for all, two or more; that of
            ``none`` among them.
    """
    best = max(rehearsed, key=lambda name: float(np.mean(rehearsed[name])))
    gains = np.subtract(rehearsed[best], rehearsed[Unchanged.name])
    error = gains.std(ddof=1) / np.sqrt(gains.size)
    return best if gains.mean() > error else Unchanged.name


@dataclass(frozen=True, eq=False)
class _Trained:
    """One harmoniser's networks: metrics of each, and their probabilities of all samples of the target."""

    inside: list[dict[str, float]]
    rehearsed: list[dict[str, float]]
    target: list[Floats]


@dataclass(frozen=True, eq=False)
class _Training:
    """What all networks of a study have in common."""

    task: Task
    params: dict[str, Any]
    epochs: int
    seed: int
    x: Floats
    y: npt.NDArray[np.int8]
    folds: Folds
    target: Floats
    rehearsal: Rehearsal
    missing_genes: tuple[str, ...]

    @cached_property
    def _shelf(self) -> "Shelf":
        """All harmonisers' networks are one."""
        from aio_tune.training import Shelf

        return Shelf()

    def run(self, harmoniser: str) -> _Trained:
        """Train a network for each fold with this harmoniser."""
        from aio_tune.training import FoldSpec, FoldTrainer

        found = _Trained([], [], [])
        program = None
        for fold, (train, valid) in enumerate(zip(self.folds.train, self.folds.valid, strict=True)):
            trainer = FoldTrainer(
                self.params | {"harmoniser": harmoniser}, self.x, self.y, FoldSpec(fold, train, valid),
                self.task.classes, seed=self.seed, program=program, shelf=self._shelf,
            )  # fmt: skip
            program = trainer.program
            found.inside.append(trainer.train_to(self.epochs).metrics)
            disguised = [
                trainer.predict(self.rehearsal.disguise(self.x[valid], seed=self.seed * DISGUISES + draw))
                for draw in range(DISGUISES)
            ]
            rehearsed = mean_sd([evaluate_calls(self.y[valid], p, self.task.classes) for p in disguised])
            found.rehearsed.append({name: mean for name, (mean, _) in rehearsed.items()})
            found.target.append(trainer.predict(self.target))
        return found


@dataclass(frozen=True, eq=False)
class _Labels:
    """What is known of the target: which of its samples have a label, and which; whose they are, by patient."""

    rows: npt.NDArray[np.intp]
    y: npt.NDArray[np.int8]
    patients: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    seed: int

    def auc(self, probabilities: Sequence[Floats]) -> Spread:
        """Mean and sd over networks, of each one's probabilities of all samples."""
        return mean_sd([evaluate_calls(self.y, p[self.rows], self.classes) for p in probabilities])["auc"]

    def ensemble(self, probabilities: Sequence[Floats]) -> Estimate:
        """AUC of the networks' mean probabilities, with its interval."""
        mean = np.mean(probabilities, axis=0)[self.rows]
        bounds = bootstrap_intervals(self.y, mean, self.classes, groups=self.patients, seed=self.seed)["auc"]
        return (evaluate_calls(self.y, mean, self.classes)["auc"], *bounds)


def _outcome(name: str, trained: _Trained, labels: _Labels, plain: float, lost: float) -> Outcome:
    """What one harmoniser came to; ``plain`` is the AUC on the target without any, ``lost`` what the shift costs."""
    outside = labels.auc(trained.target)
    return Outcome(
        harmoniser=name,
        transductive=HARMONISERS[name].transductive,
        inside=mean_sd(trained.inside)["auc"],
        rehearsed=mean_sd(trained.rehearsed)["auc"],
        outside=outside,
        ensemble=labels.ensemble(trained.target),
        won_back=(outside[0] - plain) / lost if lost > 0 else math.nan,
    )


def _training(
    model: Ensemble, dataset: AioDataset, cohort: str, task: Task, epochs: int, folds: int, seed: int
) -> _Training:
    """A model's configuration, its training patients, and the target without its labels; arguments as of ``study``."""
    params = dict(model.spec.origin.get("params") or {})
    epochs = epochs or int(model.spec.origin.get("epochs") or 0)
    if not params or not epochs:
        raise EvaluationError(
            "Expected a model that says its configuration and epochs. Received one that does not.",
            "Register it anew with this version, or, if it lacks the epochs alone, name them with --epochs.",
        )
    there = find_training_samples(model, dataset, [name for name in dataset.cohort_names if name != cohort])
    if not there.enough:
        raise EvaluationError(
            f"Expected at least {ENOUGH_PATIENTS:.0%} of the model's training patients in the dataset, to train anew. "
            f"Received {there.found}."
        )
    columns, missing = _columns(model, dataset)
    x = dataset.matrix(there.cohorts, kinds=(EXPRESSION,))[np.ix_(there.rows, columns)]
    target = dataset.matrix([cohort], kinds=(EXPRESSION,)).take(columns, axis=1)
    return _Training(
        task=task,
        params=params | {"omics": EXPRESSION},
        epochs=epochs,
        seed=seed,
        x=x,
        y=there.labels,
        folds=_folds(dataset, there, task, folds or len(model.members), seed),
        target=target,
        rehearsal=Rehearsal.fit(x, target),
        missing_genes=missing,
    )


def _columns(model: Ensemble, dataset: AioDataset) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
    """Where the dataset has the model's genes, in the model's order; and those that it lacks.

    Raises:
        RegistryError: it lacks more of them than the model allows samples to lack.
    """
    import pandas as pd

    _, missing = model.arrange(pd.DataFrame(columns=list(dataset.genes), dtype=np.float32))
    position = {gene: i for i, gene in enumerate(dataset.genes)}
    return np.array([position[gene] for gene in model.genes if gene in position], np.intp), missing


def _folds(dataset: AioDataset, there: TrainingSamples, task: Task, k: int, seed: int) -> Folds:
    patients = dataset.samples(there.cohorts)["patient_id"].to_numpy(dtype=str)[there.rows]
    folds = make_folds(there.labels, patients, k, seed, task.classes)
    fewest = min(map(len, folds.valid))
    if fewest < LEAST_BATCH:
        raise EvaluationError(
            f"Expected at least {LEAST_BATCH} validation samples in every fold, which transductive harmonisers take "
            f"for a cohort. Received {fewest}.",
            "Use fewer folds.",
        )
    return folds
