"""Further tasks learnt along: masked where their labels are missing, gone from what is saved."""

from pathlib import Path

import keras
import numpy as np
import pytest

from aio_tune.models import build
from aio_tune.models.safety import load_keras
from aio_tune.training import FoldSpec, FoldTrainer, split_params
from aio_tune.training.answers import masked
from aio_tune.training.checkpoint import MODEL
from tests.models.small import CLASSES, TINY, samples

X, Y = samples()
SPEC = FoldSpec(0, np.arange(24), np.arange(24, 44))
GRADE = np.where(np.arange(44) % 4 == 0, -1, np.arange(44) % 3).astype(np.int8)
STATUS = np.where(np.arange(44) % 5 == 0, -1, (np.arange(44) // 2) % 2).astype(np.int8)
WITH = {**TINY, "auxiliary_weight": 0.5}


def trainer(params: dict, grade: np.ndarray = GRADE) -> FoldTrainer:
    return FoldTrainer(params, X, Y, SPEC, CLASSES, seed=3, auxiliary=[(grade, 3), (STATUS, 2)])


def test_masked_by_hand() -> None:
    targets, weights = masked(np.array([2, -1, 0, -1], np.int8), 3)
    np.testing.assert_array_equal(targets[[0, 2]], [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(weights, [2, 0, 2, 0])
    assert not masked(np.full(4, -1, np.int8), 2)[1].any(), "nobody has a label: no weight, and no division by 0"


def test_they_change_what_is_learnt_and_stop_and_go_on(tmp_path: Path) -> None:
    fold = trainer(WITH)
    assert fold.program.auxiliary == (3, 2)
    report = fold.train_to(2)
    assert report.probabilities.shape == (20, 2)
    fold.save(tmp_path)
    straight = fold.train_to(4)
    again = trainer(WITH)
    again.restore(tmp_path)
    np.testing.assert_array_equal(again.train_to(4).probabilities, straight.probabilities)
    alone = FoldTrainer(TINY, X, Y, SPEC, CLASSES, seed=3).train_to(4)
    assert not np.array_equal(alone.probabilities, straight.probabilities)
    assert alone.parameters == straight.parameters, "of the network that is kept"


def test_every_head_begins_with_weights_of_its_own() -> None:
    """Drawn from a seed of its own for each fold, as a layer built with it would; the task's own as without them."""
    program = trainer(WITH).program
    seeds = np.random.default_rng([9, 2]).integers(2**31, size=2)
    heads = [
        keras.initializers.HeNormal(seed=int(one))((TINY["fc_widths"][-1], n))
        for one, n in zip(seeds, (3, 2), strict=True)
    ]
    state = program.initial_state(9)
    for head in map(np.asarray, heads):
        assert sum(part.shape == head.shape and np.array_equal(part, head) for part in state) == 1
    plain = build(split_params(TINY)[1].model_dump(), program.input_shape, 2, 9)
    for weights in plain.get_weights():
        assert any(part.shape == weights.shape and np.array_equal(part, weights) for part in state)


def test_without_a_weight_they_are_not_there() -> None:
    fold = trainer(TINY)
    assert fold.program.auxiliary == ()
    alone = FoldTrainer(TINY, X, Y, SPEC, CLASSES, seed=3).train_to(2)
    np.testing.assert_array_equal(fold.train_to(2).probabilities, alone.probabilities)


def test_a_missing_label_teaches_nothing() -> None:
    """Its one-hot target is class 0's, and must not matter; that of validation rows even less."""
    lost = np.flatnonzero(GRADE < 0)
    moved = GRADE.copy()
    moved[lost] = -7
    moved[SPEC.valid] = (moved[SPEC.valid] + 1) % 3
    first, second = trainer(WITH).train_to(3), trainer(WITH, moved).train_to(3)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    known = GRADE.copy()
    known[lost] = 1
    assert not np.array_equal(trainer(WITH, known).train_to(3).probabilities, first.probabilities)


def test_the_saved_network_is_the_task_s_own(tmp_path: Path) -> None:
    fold = trainer(WITH)
    report = fold.train_to(3)
    fold.export(tmp_path)
    kept = load_keras(tmp_path / MODEL)
    drawn = fold.preprocessor.transform(X[SPEC.valid])
    np.testing.assert_allclose(np.asarray(kept(drawn)), report.probabilities, atol=1e-6)
    network = {name: TINY[name] for name in ("filters", "depth", "embedding_width", "fc_widths")}
    assert kept.count_params() == build(network, drawn.shape[1:], 2).count_params() == report.parameters


def test_they_help_where_they_know_more() -> None:
    """A few labelled patients of the task, and an auxiliary label of the same cause for all: a sanity check."""
    rng = np.random.default_rng(0)
    x, y = samples(200, seed=1)
    noisy = np.where(rng.random(200) < 0.35, 1 - y, y).astype(np.int8)
    spec = FoldSpec(0, np.arange(60), np.arange(60, 200))
    params = {**TINY, "auxiliary_weight": 3.0, "branches": "embedding", "learning_rate": 3e-3}
    alone, along = (
        FoldTrainer({**params, "auxiliary_weight": weight}, x, noisy, spec, CLASSES, seed=0, auxiliary=[(y, 2)])
        .train_to(30).probabilities
        for weight in (0.0, 3.0)
    )  # fmt: skip
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(y[spec.valid], along[:, 1]) > roc_auc_score(y[spec.valid], alone[:, 1])


def test_a_space_names_both_or_neither(tmp_path: Path) -> None:
    from aio_tune.errors import SpaceError
    from aio_tune.search_space import load_space

    base = "task: ki67\ntrials: 2\nepochs: 2\n"
    path = tmp_path / "space.yaml"
    path.write_text(base + "auxiliary: [er, nhg]\nspace:\n  auxiliary_weight: {float: [0.1, 1.0]}\n")
    assert load_space(path).auxiliary == ("er", "nhg")
    for text, said in (
        ("auxiliary: [er]\nspace: {filters: 2}\n", "auxiliary tasks together with auxiliary_weight"),
        ("space: {auxiliary_weight: 0.5}\n", "auxiliary tasks together with auxiliary_weight"),
        ("auxiliary: [ki67]\nspace: {auxiliary_weight: 0.5}\n", "each once, other tasks, of nhg, er"),
        ("auxiliary: [er, er]\nspace: {auxiliary_weight: 0.5}\n", "each once, other tasks"),
        ("auxiliary: [grad]\nspace: {auxiliary_weight: 0.5}\n", "Received 'grad'"),
    ):
        path.write_text(base + text)
        with pytest.raises(SpaceError, match=said):
            load_space(path)
