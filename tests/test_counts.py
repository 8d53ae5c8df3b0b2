"""What a step, an epoch and a trial do, in counts that no load on the machine changes; seconds are for benchmarks."""

import pickle
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from aio_tune.training import FoldSpec, FoldTrainer, Program, Shelf, train_lockstep
from aio_tune.trial import Assignment
from tests.models.small import CLASSES, TINY, samples

pytestmark = pytest.mark.slow

X, Y = samples()
ROWS = np.arange(len(Y))
PARAMS = {**TINY, "batch_norm": True, "learning_rate": 1e-3}


def folds(k: int = 3, shelf: Shelf | None = None, **params: Any) -> list[FoldTrainer]:
    """Of one program."""
    made: list[FoldTrainer] = []
    for fold in range(k):
        spec = FoldSpec(fold, np.flatnonzero(ROWS % k != fold), np.flatnonzero(ROWS % k == fold))
        program = made[0].program if made else None
        made.append(FoldTrainer(PARAMS | params, X, Y, spec, CLASSES, seed=0, program=program, shelf=shelf))
    return made


def batch(program: Program, rows: int) -> tuple[Any, Any, Any]:
    """Pictures, one-hot classes and weights."""
    classes = np.eye(len(CLASSES), dtype=np.float32)[np.arange(rows) % len(CLASSES)]
    return np.zeros((rows, *program.input_shape), np.float32), classes, np.ones(rows, np.float32)


def operations(program: Program) -> Counter[str]:
    """Of the training step as TensorFlow runs it, by kind."""
    step = tf.function(program.traced.model.train_step)
    graph = step.get_concrete_function(tuple(tf.constant(part) for part in batch(program, 8))).graph.as_graph_def()
    inner = (node for function in graph.library.function for node in function.node_def)
    return Counter(node.op for node in (*graph.node, *inner))


def test_all_folds_and_rungs_of_a_trial_are_traced_once() -> None:
    """A trace takes seconds, and memory that TensorFlow never gives back."""
    trainers = folds()
    model, traces = trainers[0].program.traced.model, 0
    step = model.train_step

    def noted(data: Any) -> Any:
        nonlocal traces
        traces += 1
        return step(data)

    model.train_step = noted
    train_lockstep(trainers[:1], 1)
    train_lockstep(trainers, 3)
    assert traces == 1


def test_keras_writes_one_file_for_all_folds_of_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    save = keras.Model.save
    monkeypatch.setattr(keras.Model, "save", lambda *words, **more: saved.append(words) or save(*words, **more))
    for trainer in folds():
        trainer.export(tmp_path / str(trainer.spec.fold))
    assert len(saved) == 1


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({"learning_rate": 1e-3, "epsilon": 1e-7}, {"learning_rate": 3e-3, "epsilon": 1e-4}, True),
        ({"dropout": 0.2, "input_dropout": 0.3}, {"dropout": 0.4, "input_dropout": 0.1}, True),
        ({"embedding_l2": 0.1, "conv_l2": 0.1, "fc_l2": 0.2}, {"embedding_l2": 1e-3, "conv_l2": 0.01}, True),
        ({"batch_size": 8, "scaling": "rank"}, {"batch_size": 12, "class_weight": "balanced"}, True),
        ({"label_smoothing": 0.0}, {"label_smoothing": 0.2}, True),
        (
            {"optimizer": "adamw", "weight_decay": 0.1, "branches": "embedding", "bn_epsilon": 1e-4},
            {"optimizer": "adamw", "weight_decay": 0.2, "branches": "embedding", "bn_epsilon": 1e-3},
            True,
        ),
        ({"optimizer": "rmsprop", "momentum": 0.5}, {"optimizer": "rmsprop", "momentum": 0.9}, True),
        # Whatever changes which operations there are, or what they have no input for.
        ({"dropout": 0.2}, {"dropout": 0.0}, False),
        ({"fc_l2": 0.2}, {"fc_l2": 0.0}, False),
        ({"optimizer": "rmsprop", "momentum": 0.5}, {"optimizer": "rmsprop", "momentum": 0.0}, False),
        ({"optimizer": "adam"}, {"optimizer": "adamw", "weight_decay": 0.1}, False),
        ({"optimizer": "sgd", "momentum": 0.5}, {"optimizer": "sgd", "momentum": 0.9}, False),
        ({"bn_epsilon": 1e-4}, {"bn_epsilon": 1e-3}, False),  # of pictures
        ({"conv_l1": 0.1}, {"conv_l1": 0.2}, False),
        ({"embedding_width": 4}, {"embedding_width": 5}, False),
    ],
)
def test_configurations_that_differ_in_numbers_share_what_is_traced(
    one: dict[str, Any], other: dict[str, Any], shared: bool
) -> None:
    """And learn what they would by themselves, to the last bit, taking turns."""
    shelf = Shelf()
    first, second = folds(3, shelf, **one), folds(3, shelf, **other)
    assert (first[0].program.traced is second[0].program.traced) == shared
    for epoch in (1, 2):
        for trainers in (first, second):
            train_lockstep(trainers, epoch)
    alone = folds(3, **other)
    train_lockstep(alone, 2)
    for ours, theirs in zip(second, alone, strict=True):
        for a, b in zip(ours.state, theirs.state, strict=True):
            np.testing.assert_array_equal(a, b)
    apart = folds(3, **one)
    train_lockstep(apart, 2)
    assert any((a != b).any() for a, b in zip(apart[0].state, alone[0].state, strict=True)) or not shared


def test_a_step_is_made_of_tensorflow_s_own_kernels() -> None:
    program = folds()[0].program
    made = operations(program)
    normed = [layer for layer in program.traced.model.layers if "norm" in layer.name and len(layer.output.shape) == 4]
    assert normed
    assert made["FusedBatchNormV3"] == made["FusedBatchNormGradV3"] == len(normed)
    assert made["ResourceApplyAdam"] == len(program.traced.model.trainable_variables)
    # 790 of Keras 3.15 and TensorFlow 2.21; without those kernels Adam alone would add 20 for each variable.
    assert made.total() <= 850


def test_python_calls_of_an_epoch() -> None:
    """While Python works the cores wait: as little for many batches as for few, where the pictures are at hand."""
    program = folds()[0].program
    images, targets, weights = batch(program, 64 * program.settings.batch_size)

    def calls(batches: int) -> int:
        count = 0

        def note(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += event == "call"

        order = np.arange(batches * program.settings.batch_size)
        sys.setprofile(note)
        try:
            program.train_epoch(images, [targets], [weights], order)
        finally:
            sys.setprofile(None)
        return count

    calls(2)
    calls(2)
    few, many = calls(4), calls(24)
    assert few == many <= 2200  # 2,025 of Keras 3.15 and TensorFlow 2.21


def test_every_training_row_is_drawn_once_in_an_epoch_and_no_other() -> None:
    """Of a cohort too large to be kept as pictures."""
    drawn: Counter[int] = Counter()

    class Noted(np.ndarray[Any, Any]):
        def __getitem__(self, rows: Any) -> Any:
            if isinstance(rows, np.ndarray):
                drawn.update(rows.tolist())
            return np.asarray(self)[rows]

    trainer = folds()[0]
    assert trainer.preprocessor  # fitting it reads them too
    trainer._x = X.view(Noted)
    targets, weights = trainer.answers()
    trainer.program.train_epoch(trainer.training_pictures(kept=0), targets, weights, trainer.next_order())
    batches, size = trainer.program.batches(len(trainer.spec.train))
    assert set(drawn) <= set(trainer.spec.train.tolist())
    assert drawn.total() == batches * size == len(drawn)


def test_what_configurations_draw_alike_is_drawn_once() -> None:
    """Pictures and initial weights, fold by fold, over rungs and trials: each would take a tenth of a short trial."""
    drawn: Counter[Any] = Counter()
    shelf = Shelf()
    get = shelf.get

    def noted(key: Any, draw: Any) -> Any:
        def really() -> Any:
            drawn[key] += 1
            return draw()

        return get(key, really)

    shelf.get = noted  # type: ignore[method-assign]
    reports = []
    for rate in (1e-3, 1e-3, 1e-2):
        for scaling in ("zscore", "minmax"):
            trainers = folds(3, shelf, learning_rate=rate, scaling=scaling)
            train_lockstep(trainers[:1], 1)
            reports.append(train_lockstep(trainers, 2)[0])
    asked = Counter(key if isinstance(key, str) else key[0] for key in drawn)
    # Of three folds; pictures in two scalings.
    assert asked["training"] == asked["validation"] == 3 * 2
    kernels = [v for v in trainers[0].program.traced.plain.trainable_variables if "kernel" in v.path]
    assert asked["weights"] == 3 * len(kernels)
    assert set(drawn.values()) == {1}
    # And they are the same that a fold draws by itself.
    alone = train_lockstep(folds(3, scaling="minmax"), 2)[0]
    for report in (reports[1], reports[3]):
        np.testing.assert_allclose(report.probabilities, alone.probabilities, atol=1e-5)
    kept = trainers[0].training_pictures()
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1  # type: ignore[index]


def test_a_trial_sends_its_workers_next_to_nothing() -> None:
    """Folds come by the number, and expression lies on the node already."""
    assert len(pickle.dumps(Assignment(7, PARAMS))) < 1000
