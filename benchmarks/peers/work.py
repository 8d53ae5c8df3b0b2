"""What the sides share: rows, folds, space, pictures, and one configuration's cross-validation by plain Keras.

A peer is spared whatever a careful user would spare it. Pictures are fitted once per scaling, layout and fold, and kept
in memory. The folds of a configuration take turns in one compiled model, which is traced once: swapping weights and
optimizer takes tens of milliseconds, building and tracing a model for each fold took ten times that and more, in
lockstep too. All folds begin with the same weights, which saves building anew.

Initial weights and dropout are seeded, the order of patients is not: after ``keras.utils.set_random_seed`` Keras 3.15
with TensorFlow would shuffle in the same order in each epoch, which no careful user would want.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import open_dataset
from aio_tune.expression import Matrix, Rows
from aio_tune.kinds import choose, select
from aio_tune.metrics import evaluate_calls
from aio_tune.models import build
from aio_tune.preprocess import Preprocessor
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.rows import TrainingRows, training_rows
from aio_tune.search_space import SearchSpec, load_space
from aio_tune.training import TrainingParams, input_shape, split_params
from aio_tune.training.answers import class_weights

MOST_PICTURES = 2**30
"""Bytes of pictures kept, of all configurations together."""

State = list[npt.NDArray[Any]]


@dataclass
class Work:
    """The work of one repetition.

    Attributes:
        spec: space, folds, epochs, and the seed of all that is random.
        rows: the dataset's training rows, and their folds.
        layouts: folder of fitted layouts, empty at the side's start.
    """

    spec: SearchSpec
    rows: TrainingRows
    layouts: Path
    _expression: Matrix | None = None
    _pictures: dict[tuple[Any, ...], tuple[npt.NDArray[np.float32], ...]] = field(default_factory=dict)

    @property
    def last_epoch(self) -> int:
        """Epochs of a complete trial."""
        return self.spec.rungs[-1][1]

    @property
    def genes(self) -> int:
        return len(self.rows.stored.dataset.genes)

    def refusal(self, params: Mapping[str, Any]) -> str:
        """Why a configuration cannot be trained; empty if it can."""
        rows = self.rows
        return Feasibility(self.spec, self.genes, rows.task.n_classes, rows.in_memory, rows.kinds).refusal(params)

    def pictures(self, settings: TrainingParams, fold: int) -> tuple[npt.NDArray[np.float32], ...]:
        """Of a fold's training rows, and of its validation rows."""
        key = (settings.scaling, settings.layout, settings.harmoniser, settings.omics, fold)
        if key not in self._pictures:
            if sum(array.nbytes for pair in self._pictures.values() for array in pair) > MOST_PICTURES:
                self._pictures.clear()
            self._pictures[key] = self._draw(settings, fold)
        return self._pictures[key]

    def _draw(self, settings: TrainingParams, fold: int) -> tuple[npt.NDArray[np.float32], ...]:
        if self._expression is None:
            self._expression = self.rows.expression()
        kinds = choose(settings.omics, self.rows.kinds)
        x = select(self._expression, self.rows.kinds, kinds)
        train, valid = Rows(x, self.rows.folds.train[fold]), Rows(x, self.rows.folds.valid[fold])
        fitted = Preprocessor.fit(
            settings.scaling, settings.layout, train, self.spec.seed, self.layouts, settings.harmoniser, kinds
        )
        return fitted.transform_training(train.whole()), fitted.transform(valid.whole())


class CrossValidation:
    """One configuration's folds, each as far trained as the others.

    Args:
        work: of the repetition.
        params: the configuration.
        states: of its folds, to go on from; None begins.
    """

    def __init__(self, work: Work, params: Mapping[str, Any], states: Sequence[State] | None = None) -> None:
        import keras

        self._began = time.perf_counter()
        # Graphs and names of earlier trials would pile up.
        keras.backend.clear_session(free_memory=False)
        self._work, rows = work, work.rows
        self._settings, network = split_params(params)
        shape = input_shape(params, work.genes, rows.kinds)
        self._model = build(network.model_dump(), shape, rows.task.n_classes, work.spec.seed)
        self._model.compile(
            optimizer=self._settings.make_optimizer(),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=self._settings.label_smoothing),
            jit_compile=False,  # what Keras chooses by itself on CPUs
        )
        self._model.optimizer.build(self._model.trainable_variables)
        self._variables = [*self._model.variables, *self._model.optimizer.variables]
        self._fold = 0
        self._states = list(states) if states else [self._unload()] * rows.folds.k
        if states:
            self._load(states[0])

    @property
    def seconds(self) -> float:
        """Since it was begun."""
        return time.perf_counter() - self._began

    def train(self, epochs: int, goes_on: bool = True) -> float:
        """Train each fold for so many more epochs, one fold after the other; their mean validation AUC.

        Args:
            epochs: more than 0.
            goes_on: whether it will be trained further, so that what a fold has learnt is to be kept.
        """
        return float(np.mean([self._train(fold, epochs, goes_on) for fold in range(self._work.rows.folds.k)]))

    def states(self) -> list[State]:
        """Of all folds, to go on from in another model."""
        self._states[self._fold] = self._unload()
        return self._states

    def _train(self, fold: int, epochs: int, goes_on: bool) -> float:
        if fold != self._fold:
            if goes_on:
                self._states[self._fold] = self._unload()
            self._load(self._states[fold])
            self._fold = fold
        rows, settings = self._work.rows, self._settings
        train, valid = self._work.pictures(settings, fold)
        labels, n = rows.labels[rows.folds.train[fold]], rows.task.n_classes
        weights = None if settings.class_weight == "none" else class_weights(labels, n, settings.class_weight)
        self._model.fit(
            train, np.eye(n, dtype=np.float32)[labels], sample_weight=weights, batch_size=settings.batch_size,
            epochs=epochs, shuffle=True, verbose=0,
        )  # fmt: skip
        # Costs less than `predict`, which sets up a pipeline for these few rows.
        probabilities = np.asarray(self._model.predict_on_batch(valid))
        if not np.isfinite(probabilities).all():
            return 0.0
        return evaluate_calls(rows.labels[rows.folds.valid[fold]], probabilities, rows.task.classes)["auc"]

    def _load(self, state: State) -> None:
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def _unload(self) -> State:
        import keras

        # A copy: on CPUs TensorFlow may hand out its own memory, which the next step overwrites.
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in self._variables]


def side_arguments() -> argparse.Namespace:
    """What a side is told on its command line."""
    parser = argparse.ArgumentParser()
    # Whole paths: a trial of Ray Tune works in a folder of its own.
    parser.add_argument("dataset", type=_resolved)
    parser.add_argument("--space", type=_resolved, required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--folder", type=_resolved, required=True, help="of what the side writes")
    parser.add_argument("--trials", type=int, help="how many; left out, until it is stopped")
    return parser.parse_args()


def _resolved(path: str) -> Path:
    return Path(path).resolve()


def open_work(arguments: argparse.Namespace) -> Work:
    """The work that a side was told of; expression is read when it is first needed."""
    dataset = open_dataset(arguments.dataset)
    spec = load_space(arguments.space, arguments.overrides, tasks=dataset.tasks)
    if spec.auxiliary:
        raise SystemExit("Expected a space without auxiliary tasks, which the peers do not learn along.")
    rows = training_rows(dataset, spec.task, spec.train_on, spec.folds, spec.seed, spec.resources.memory_budget)
    return Work(spec, rows, arguments.folder / "layouts")


def starts(spec: SearchSpec) -> list[dict[str, Any]]:
    """The space's starting points as Optuna holds them: each once, and only what is part of the configuration.

    With an override two of them may have become the same, which the search trains once; so shall the others.
    """
    points: list[dict[str, Any]] = []
    for point in map(spec.encode, spec.start):
        asked = _Asked(point)
        spec.suggest(asked)  # type: ignore[arg-type]
        if asked.found not in points:
            points.append(asked.found)
    return points


class _Asked:
    """An Optuna trial of a starting point, which notes what of it is asked for; what it leaves out is the lowest."""

    def __init__(self, point: Mapping[str, Any]) -> None:
        self._point = point
        self.found: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._answer(name, choices[0])

    def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
        return int(self._answer(name, low))

    def suggest_float(self, name: str, low: float, high: float, **_: Any) -> float:
        return float(self._answer(name, low))

    def _answer(self, name: str, otherwise: Any) -> Any:
        if name in self._point:
            self.found[name] = self._point[name]
        return self._point.get(name, otherwise)


def note(folder: Path, value: float, seconds: float) -> None:
    """Write down that a trial was trained to the last epoch on all folds.

    Args:
        folder: the side's.
        value: its mean AUC over the folds.
        seconds: that it took by itself.
    """
    with (folder / "complete.jsonl").open("a") as file:
        file.write(json.dumps({"time": time.time(), "value": value, "seconds": seconds}) + "\n")


def noted(folder: Path) -> list[dict[str, float]]:
    """What was written down so far."""
    path = folder / "complete.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


__all__ = ["CrossValidation", "State", "Work", "note", "noted", "open_work", "side_arguments", "starts"]
