"""One fold: its rows, its fitted preprocessing, its weights and how far it is trained."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import TrialError
from aio_tune.expression import Floats, Matrix, Rows, as_rows
from aio_tune.harmonise import HARMONISERS, SINGLE_SAMPLE
from aio_tune.kinds import EXPRESSION, choose, select
from aio_tune.metrics import evaluate_calls
from aio_tune.preprocess import Preprocessor
from aio_tune.training.answers import class_weights, cross_entropy, masked, smoothed
from aio_tune.training.checkpoint import MODEL, PREPROCESSING, read_checkpoint, write_checkpoint
from aio_tune.training.program import Program, State
from aio_tune.training.settings import configuration, input_shape
from aio_tune.training.shelf import Shelf

PICTURES_KEPT = 16 * 2**20
"""Bytes of pictures, of the training or the validation rows, that are drawn at once and kept on a shelf; more are drawn
batch by batch, which adds 0.1 to 5 % to the time of a step and keeps a worker from growing with the cohort."""

CURVES = ("train_loss", "valid_loss", "valid_auc")


@dataclass(frozen=True)
class FoldSpec:
    """Which rows a fold trains on, and which it is judged on.

    Attributes:
        fold: its number, from 0.
        train: row indices, int, shape (n_train,).
        valid: row indices, int, shape (n_valid,); none of ``train``'s patients is among them.
    """

    fold: int
    train: npt.NDArray[np.integer]
    valid: npt.NDArray[np.integer]


@dataclass(frozen=True)
class FoldReport:
    """How a fold stands at an epoch.

    Attributes:
        fold: its number.
        epoch: epochs trained in all.
        metrics: ``evaluate_calls`` on the validation rows.
        curves: ``train_loss`` (with penalties), ``valid_loss`` (cross-entropy alone) and ``valid_auc``, one value
            per epoch since the first.
        probabilities: of the validation rows, float32, shape (n_valid, n_classes).
        seconds: spent on training since the last report.
        parameters: of the network.
    """

    fold: int
    epoch: int
    metrics: dict[str, float]
    curves: dict[str, list[float]]
    probabilities: npt.NDArray[np.float32]
    seconds: float
    parameters: int


@dataclass
class _Progress:
    epoch: int = 0
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})


class FoldTrainer:
    """Trains one fold.

    Args:
        params: the configuration; names left out have their defaults.
        x: expression, float32, shape (n, genes), log2(TPM+1), and beside it the other kinds; read by rows, never
            written.
        y: class indices, int8, shape (n,).
        spec: the fold's rows.
        classes: class names.
        seed: with the fold and the epoch it sets initial weights, dropout and the order of patients; 0 or more.
        layout_cache: folder for fitted layouts; None fits anew.
        program: of another fold of the same configuration, in whose network this one then has its turns; None makes
            one.
        kinds: of omics that stand side by side in ``x``, expression first.
        auxiliary: of each further task that may be learnt along, class indices, int8, shape (n,), below 0 where they
            are missing, and how many classes.
        shelf: of pictures and networks, shared by folds and configurations of the same ``x``, ``y`` and rows of each
            fold; None makes one for this fold alone.

    Attributes:
        state: weights and whatever else a step depends on; set anew by who trains this fold together with others.

    Raises:
        TrialError: a parameter is unknown or out of range, a kind is not in ``x``, the network cannot be built, the
            training rows lack a class, or the validation rows are too few for the harmoniser.
        ValueError: ``program`` is of another configuration.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        x: Matrix,
        y: npt.NDArray[np.int8],
        spec: FoldSpec,
        classes: Sequence[str],
        *,
        seed: int,
        layout_cache: Path | None = None,
        program: Program | None = None,
        kinds: Sequence[str] = (EXPRESSION,),
        auxiliary: Sequence[tuple[npt.NDArray[np.int8], int]] = (),
        shelf: Shelf | None = None,
    ) -> None:
        missing = [name for code, name in enumerate(classes) if not (y[spec.train] == code).any()]
        if missing:
            raise TrialError(
                f"Expected every class among fold {spec.fold}'s training rows. Received none of {', '.join(missing)}."
            )
        shape = input_shape(params, x.shape[1] // len(kinds), kinds)
        self._shelf = Shelf() if shelf is None else shelf
        self.program = program or Program(params, shape, len(classes), [n for _, n in auxiliary], self._shelf)
        if self.program.configuration != configuration(params):
            raise ValueError("Expected a program of the same configuration. Received another one's.")
        self.spec = spec
        self._kinds = choose(self.program.settings.omics, kinds)
        self._x = select(x, kinds, self._kinds)
        self._y = y
        self._auxiliary = auxiliary if self.program.auxiliary else ()
        self._classes = tuple(classes)
        self._seed = seed
        self._settings = self.program.settings
        self._check_batch()
        self._layout_cache = layout_cache
        self._preprocessor: Preprocessor | None = None
        self.state: State = self.program.initial_state(_seed_of(seed, spec.fold))
        self._progress = _Progress()

    def _check_batch(self) -> None:
        name, n = self._settings.harmoniser, len(self.spec.valid)
        least = HARMONISERS[name].least_batch()
        if n < least:
            raise TrialError(
                f"Expected at least {least} validation rows for harmoniser {name}, to which they are a cohort. "
                f"Received {n} in fold {self.spec.fold}.",
                f"Use fewer folds, or one of the harmonisers {', '.join(SINGLE_SAMPLE)}.",
            )

    @property
    def epoch(self) -> int:
        """Epochs trained so far."""
        return self._progress.epoch

    @property
    def preprocessor(self) -> Preprocessor:
        """Fitted on the training rows alone, when first needed: a restored fold has it from its checkpoint."""
        if self._preprocessor is None:
            rows = Rows(self._x, self.spec.train)
            settings = self._settings
            self._preprocessor = Preprocessor.fit(
                settings.scaling,
                settings.layout,
                rows,
                self._seed,
                self._layout_cache,
                settings.harmoniser,
                self._kinds,
            )
        return self._preprocessor

    def train_to(self, epoch: int) -> FoldReport:
        """Train until ``epoch`` epochs are done; nothing if they are.

        Raises:
            TrialError: the loss is not finite any more.
        """
        began = time.perf_counter()
        valid = self.program.ready(self.validation_pictures())
        self.program.load(self.state)
        probabilities = None
        if self.epoch < epoch:
            train = self.program.ready(self.training_pictures())
            targets, weights = self.answers()
            while self.epoch < epoch:
                loss = self.program.train_epoch(train, targets, weights, self.next_order())
                self.check(loss)
                probabilities = self.program.predict(valid)
                self.note_epoch(loss, probabilities)
            self.state = self.program.unload()
        if probabilities is None:
            probabilities = self.program.predict(valid)
        return self.report(probabilities, time.perf_counter() - began)

    def training_pictures(self, kept: int | None = None) -> Rows | Floats:
        """Pictures of the training rows, drawn now if of no more than ``kept`` bytes, else when asked for."""
        return self._kept_if_small("training", self._training, len(self.spec.train), kept)

    def validation_pictures(self, kept: int | None = None) -> Rows | Floats:
        """Pictures of the validation rows, drawn now if they take no more than ``kept`` bytes."""
        return self._kept_if_small("validation", self._validation, len(self.spec.valid), kept)

    def answers(self) -> tuple[list[Floats], list[Floats]]:
        """Of the training rows, for the task and each auxiliary one: targets, shape (n, n_classes), and weights."""
        labels = self._y[self.spec.train]
        one_hot = np.eye(len(self._classes), dtype=np.float32)[labels]
        weights = class_weights(labels, len(self._classes), self._settings.class_weight)
        also = [masked(codes[self.spec.train], n) for codes, n in self._auxiliary]
        targets = [smoothed(one, self._settings.label_smoothing) for one in (one_hot, *(part for part, _ in also))]
        return targets, [weights, *(weight for _, weight in also)]

    def next_order(self) -> npt.NDArray[np.intp]:
        """The next epoch's order of the training rows."""
        return np.random.default_rng([self._seed, self.spec.fold, self.epoch]).permutation(len(self.spec.train))

    def check(self, loss: float) -> None:
        """Refuse to go on with a loss that is not finite, before anything else is made of that epoch.

        Raises:
            TrialError: it is not.
        """
        if not math.isfinite(loss):
            raise TrialError(
                f"Expected a finite loss. Received {loss} for fold {self.spec.fold} in epoch {self.epoch + 1}.",
                "Try a smaller learning rate.",
            )

    def note_epoch(self, loss: float, probabilities: Floats) -> None:
        """One more epoch is trained.

        Args:
            loss: as ``Program.train_epoch`` gives it.
            probabilities: of the validation rows after it.

        Raises:
            TrialError: they are not finite: the epoch's last step was one too far.
        """
        if not np.isfinite(probabilities).all():
            raise TrialError(
                f"Expected finite probabilities. Received others for fold {self.spec.fold} after epoch "
                f"{self.epoch + 1}.",
                "Try a smaller learning rate.",
            )
        progress, labels = self._progress, self._y[self.spec.valid]
        progress.epoch += 1
        progress.curves["train_loss"].append(loss)
        progress.curves["valid_loss"].append(cross_entropy(labels, probabilities))
        progress.curves["valid_auc"].append(evaluate_calls(labels, probabilities, self._classes)["auc"])

    def report(self, probabilities: Floats, seconds: float) -> FoldReport:
        """How the fold stands, given the validation rows' probabilities and the time it took to come there."""
        return FoldReport(
            fold=self.spec.fold,
            epoch=self.epoch,
            metrics=evaluate_calls(self._y[self.spec.valid], probabilities, self._classes),
            curves={name: list(curve) for name, curve in self._progress.curves.items()},
            probabilities=probabilities,
            seconds=seconds,
            parameters=self.program.parameters,
        )

    def predict(self, x: Floats) -> Floats:
        """Probabilities of other samples by the network as it stands, float32, shape (n, n_classes).

        Args:
            x: as for ``Preprocessor.transform``, of the kinds that the configuration draws; to a transductive
                harmoniser one whole cohort.
        """
        self.program.load(self.state)
        harmonised = as_rows(self.preprocessor.harmonise(x))
        return self.program.predict(harmonised.through(self.preprocessor.draw))

    def _training(self) -> Rows:
        """Pictures of the training rows."""
        return Rows(self._x, self.spec.train).through(self.preprocessor.transform_training)

    def _validation(self) -> Rows:
        """Pictures of the validation rows."""
        rows = Rows(self._x, self.spec.valid)
        if HARMONISERS[self._settings.harmoniser].transductive:
            # To such a member they are one batch, as a target cohort would be.
            return as_rows(self.preprocessor.harmonise(rows.whole())).through(self.preprocessor.draw)
        return rows.through(self.preprocessor.transform)

    def _kept_if_small(self, part: str, pictures: Callable[[], Rows], n: int, kept: int | None) -> Rows | Floats:
        """Pictures of ``n`` of this fold's rows, all of them now or each when it is asked for."""
        if 4 * n * math.prod(self.program.input_shape) > (PICTURES_KEPT if kept is None else kept):
            return pictures()
        chosen = self._settings
        drawn_alike = (part, self.spec.fold, self._seed, chosen.harmoniser, chosen.scaling, chosen.layout, self._kinds)
        # What is on the shelf need not be harmonised either.
        return self._shelf.get(drawn_alike, lambda: pictures().whole())

    def save(self, folder: Path) -> None:
        """Write a checkpoint: everything that the next epoch depends on, whole or not at all."""
        facts = {
            "fold": self.spec.fold,
            "seed": self._seed,
            "configuration": self.program.configuration,
            **asdict(self._progress),
        }
        write_checkpoint(folder, self.epoch, self.state, self.preprocessor, facts)

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint, exactly as if training had never stopped.

        Raises:
            TrialError: the checkpoint is missing, damaged, or of another configuration, fold or seed.
        """
        facts, state, preprocessor = read_checkpoint(folder)
        try:
            progress = _Progress(int(facts["epoch"]), {name: list(facts["curves"][name]) for name in CURVES})
            # Filled in once more: a parameter that came since the checkpoint has the default that it had then.
            found = (facts["fold"], facts["seed"], configuration(facts["configuration"]))
        except (ValueError, KeyError, TypeError) as error:
            raise TrialError(f"Expected a checkpoint in {folder}. Received: {error}.") from error
        same = found == (self.spec.fold, self._seed, self.program.configuration)
        if not same or [a.shape for a in state] != [a.shape for a in self.state]:
            raise TrialError(
                f"Expected a checkpoint of fold {self.spec.fold} of this configuration in {folder}. "
                "Received one of another fold, seed or configuration."
            )
        self.state, self._preprocessor, self._progress = state, preprocessor, progress

    def export(self, folder: Path) -> None:
        """Write the trained network and its preprocessing, for use without this code's training."""
        folder.mkdir(parents=True, exist_ok=True)
        self.program.save_model(self.state, folder / f"new-{MODEL}")
        self.preprocessor.save(folder / f"new-{PREPROCESSING}")
        for name in (MODEL, PREPROCESSING):
            (folder / f"new-{name}").replace(folder / name)


def _seed_of(seed: int, fold: int) -> int:
    """One seed for each pair, so that folds neither share weights nor those of a neighbouring seed."""
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])
