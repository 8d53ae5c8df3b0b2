"""Training of folds: what it promises about data, seeds, stopping and going on."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from aio_tune.errors import TrialError
from aio_tune.expression import RowFile
from aio_tune.metrics import evaluate_calls
from aio_tune.models.safety import load_keras
from aio_tune.preprocess import Preprocessor
from aio_tune.training import (
    FoldReport,
    FoldSpec,
    FoldTrainer,
    Program,
    TrainingParams,
    input_shape,
    known_parameters,
    split_params,
    train_lockstep,
)
from aio_tune.training.answers import class_weights, cross_entropy, smoothed
from aio_tune.training.checkpoint import MODEL, PREPROCESSING, STATE
from tests.models.small import CLASSES, GENES, TINY, samples

X, Y = samples()
SPECS = tuple(
    FoldSpec(k, np.flatnonzero(np.arange(44) // 2 % 2 != k), np.flatnonzero(np.arange(44) // 2 % 2 == k))
    for k in (0, 1)
)


def trainer(
    params: dict[str, Any] | None = None,
    spec: FoldSpec = SPECS[0],
    *,
    seed: int = 3,
    program: Program | None = None,
    x: Any = X,
    y: Any = Y,
) -> FoldTrainer:
    return FoldTrainer({**TINY, **(params or {})}, x, y, spec, CLASSES, seed=seed, program=program)


@pytest.fixture(scope="module")
def program() -> Program:
    """Building and tracing a network costs seconds; with one program the tests are about folds."""
    return Program(TINY, input_shape(TINY, GENES), len(CLASSES))


@pytest.fixture(scope="module")
def straight(program: Program) -> FoldReport:
    """Four epochs in one go."""
    return trainer(program=program).train_to(4)


def same(a: FoldReport, b: FoldReport) -> None:
    """Bit-identical, but for the time it took."""
    assert np.array_equal(a.probabilities, b.probabilities)
    left, right = (asdict(replace(report, probabilities=np.empty(0), seconds=0.0)) for report in (a, b))
    del left["probabilities"], right["probabilities"]
    assert left == right


def test_report(straight: FoldReport) -> None:
    valid = SPECS[0].valid
    assert (straight.fold, straight.epoch) == (0, 4)
    assert straight.probabilities.shape == (len(valid), 2)
    assert straight.metrics == evaluate_calls(Y[valid], straight.probabilities, CLASSES)
    assert {name: len(curve) for name, curve in straight.curves.items()} == {
        "train_loss": 4, "valid_loss": 4, "valid_auc": 4
    }  # fmt: skip
    assert straight.curves["valid_auc"][-1] == straight.metrics["auc"]
    assert straight.curves["valid_loss"][-1] == pytest.approx(log_loss(Y[valid], straight.probabilities), abs=1e-6)
    assert straight.parameters > 100
    assert straight.seconds > 0


def test_it_learns(program: Program) -> None:
    report = trainer(program=program).train_to(30)
    assert report.metrics["auc"] > 0.85
    assert report.curves["train_loss"][-1] < report.curves["train_loss"][0]


def test_seed(program: Program, straight: FoldReport) -> None:
    same(trainer(program=program).train_to(4), straight)
    other = trainer(program=program, seed=4).train_to(4)
    assert not np.array_equal(other.probabilities, straight.probabilities)


def test_going_on_equals_never_having_stopped(program: Program, straight: FoldReport, tmp_path: Path) -> None:
    """To the last bit: weights, batch-norm averages, optimizer, dropout's random state and the order of patients."""
    first = trainer(program=program)
    first.train_to(2)
    first.save(tmp_path)
    same(first.train_to(4), straight)  # in the same process

    second = trainer(program=program)
    second.restore(tmp_path)
    assert second.epoch == 2
    same(second.train_to(4), straight)

    own = trainer()  # in a program of its own, as in another process
    own.restore(tmp_path)
    same(own.train_to(4), straight)


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_going_on_with_every_optimizer(optimizer: str, tmp_path: Path) -> None:
    params = {"optimizer": optimizer, "weight_decay": 0.1, "branches": "embedding", "learning_rate": 1e-3}
    first = trainer(params)
    first.train_to(1)
    first.save(tmp_path)
    second = trainer(params, program=first.program)
    second.restore(tmp_path)
    same(first.train_to(2), second.train_to(2))


def test_folds_take_turns_without_touching_one_another(program: Program, straight: FoldReport) -> None:
    folds = [trainer(program=program, spec=spec) for spec in SPECS]
    train_lockstep(folds, 1)
    train_lockstep(folds, 3)
    reports = train_lockstep(folds, 4)
    assert [report.fold for report in reports] == [0, 1]
    same(reports[0], straight)
    same(reports[1], trainer(program=program, spec=SPECS[1]).train_to(4))


@pytest.mark.parametrize("harmoniser", ["none", "quantile"])
@pytest.mark.parametrize("scaling", ["zscore", "minmax", "rank"])
def test_from_the_disk_as_from_memory(
    harmoniser: str, scaling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, whether pictures are kept or drawn batch by batch."""
    params = {"harmoniser": harmoniser, "scaling": scaling, "branches": "embedding"}
    (tmp_path / "x.f32").write_bytes(X.tobytes())
    disk = RowFile(tmp_path / "x.f32", (len(X), GENES))
    program = Program({**TINY, **params}, input_shape({**TINY, **params}, GENES), len(CLASSES))
    expected = trainer(params, program=program).train_to(2)
    monkeypatch.setattr("aio_tune.training.fold.PICTURES_KEPT", 0)
    for x in (X, disk):
        same(trainer(params, program=program, x=x).train_to(2), expected)


def test_a_fold_keeps_no_second_copy_of_the_rows(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past ``PICTURES_KEPT`` never more than a piece, of whatever is asked for."""
    most = 0

    class Watched:
        shape = X.shape

        def __getitem__(self, rows: Any) -> Any:
            nonlocal most
            most = max(most, len(rows))
            return X[rows]

    monkeypatch.setattr("aio_tune.training.fold.PICTURES_KEPT", 0)
    monkeypatch.setattr("aio_tune.expression.PIECE", 9)
    monkeypatch.setattr("aio_tune.training.program.PREDICT_ROWS", 10)
    trainer(program=program, x=Watched()).train_to(1)
    assert most == 10


def test_nothing_to_do(program: Program, straight: FoldReport) -> None:
    fold = trainer(program=program)
    fold.train_to(4)
    same(fold.train_to(4), straight)
    same(fold.train_to(2), straight)


def test_validation_rows_change_nothing_in_training(program: Program, straight: FoldReport) -> None:
    """Neither in what is fitted nor in the network: only training rows are looked at."""
    x, y = X.copy(), Y.copy()
    x[SPECS[0].valid] = np.random.default_rng(9).normal(8, 3, (len(SPECS[0].valid), GENES))
    y[SPECS[0].valid] = 1 - y[SPECS[0].valid]
    there, here = trainer(program=program, x=x, y=y), trainer(program=program)
    other = there.train_to(4)
    here.train_to(4)
    assert other.curves["train_loss"] == straight.curves["train_loss"]
    assert all(np.array_equal(a, b) for a, b in zip(there.state, here.state, strict=True))
    for a, b in zip(
        there.preprocessor.scaling.state().values(), here.preprocessor.scaling.state().values(), strict=True
    ):
        assert np.array_equal(a, b)


def test_train_loss_is_the_mean_over_patients() -> None:
    """Batches and class weights included, on a network that stands still; against scikit-learn."""
    params = {
        "dropout": 0.0, "input_dropout": 0.0, "batch_norm": False, "conv_l2": 0.0, "embedding_l2": 0.0, "fc_l2": 0.0,
        "learning_rate": 1e-12, "class_weight": "balanced", "batch_size": 9,
    }  # fmt: skip
    rows = np.flatnonzero((np.arange(44) % 3 != 0) | (Y == 1))
    spec = FoldSpec(0, rows, rows)
    assert len(rows) == 36  # four whole batches
    report = trainer(params, spec).train_to(1)
    weights = compute_sample_weight("balanced", Y[rows])
    assert len(set(weights)) == 2
    expected = np.mean(weights * -np.log(report.probabilities[np.arange(len(rows)), Y[rows]]))
    assert report.curves["train_loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "size", "batches"),
    [(109, 16, (7, 15)), (103, 2, (51, 2)), (240, 2, (120, 2)), (3, 2, (1, 3)), (5, 16, (1, 5)), (1, 2, (1, 1))],
)
def test_batches_are_alike_and_never_of_one_row(rows: int, size: int, batches: tuple[int, int]) -> None:
    program = trainer({"batch_size": size}).program
    assert program.batches(rows) == batches


def test_class_weights_against_scikit_learn() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2], dtype=np.int8)
    assert class_weights(labels, 3, "balanced") == pytest.approx(compute_sample_weight("balanced", labels))
    assert class_weights(labels, 3, "none").tolist() == [1] * 6


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_smoothed_targets_against_keras(share: float) -> None:
    """Whose loss has the share as a constant of what is traced."""
    import keras

    random = np.random.default_rng(0)
    one_hot = np.eye(3, dtype=np.float32)[random.integers(3, size=40)]
    answers = random.dirichlet(np.ones(3), size=40).astype(np.float32)
    ours = keras.losses.CategoricalCrossentropy()(smoothed(one_hot, share), answers)
    theirs = keras.losses.CategoricalCrossentropy(label_smoothing=share)(one_hot, answers)
    assert float(ours) == float(theirs)


def test_cross_entropy_of_a_certain_error_is_finite() -> None:
    certain = np.array([[1.0, 0.0]], dtype=np.float32)
    assert cross_entropy(np.array([0]), certain) == 0
    assert cross_entropy(np.array([1]), certain) == pytest.approx(-np.log(1e-7))


def test_loss_that_is_not_finite() -> None:
    fold = trainer(
        {"learning_rate": 1.0, "optimizer": "sgd", "batch_norm": False, "embedding_l2": 10.0, "momentum": 0.99}
    )
    with pytest.raises(TrialError, match=r"Expected a finite loss. Received (nan|inf) for fold 0 in epoch \d+"):
        fold.train_to(200)


def test_class_missing_in_training() -> None:
    with pytest.raises(TrialError, match=r"fold 2's training rows\. Received none of positive"):
        trainer(spec=FoldSpec(2, np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)))


def test_export(program: Program, straight: FoldReport, tmp_path: Path) -> None:
    """What is left for the registry gives the reported probabilities with no training code."""
    fold = trainer(program=program)
    fold.train_to(4)
    fold.export(tmp_path)
    pictures = Preprocessor.load(tmp_path / PREPROCESSING).transform(X[SPECS[0].valid])
    model = load_keras(tmp_path / MODEL)
    assert np.allclose(np.asarray(model(pictures)), straight.probabilities, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([MODEL, PREPROCESSING])


def test_checkpoint_is_replaced_and_leaves_nothing_else(program: Program, tmp_path: Path) -> None:
    fold = trainer(program=program)
    for epoch in (0, 1, 1, 2):
        fold.train_to(epoch)
        fold.save(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == [PREPROCESSING, STATE, f"state_{epoch:04d}.npz"]


def _cut(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-200])


def test_damaged_checkpoint(program: Program, tmp_path: Path) -> None:
    fold = trainer(program=program)
    fold.save(tmp_path / "good")
    names = sorted(path.name for path in (tmp_path / "good").iterdir())
    for name in names:
        for damage in ("cut", "gone"):
            folder = tmp_path / damage / name
            shutil.copytree(tmp_path / "good", folder)
            _cut(folder, name) if damage == "cut" else (folder / name).unlink()
            with pytest.raises(TrialError, match="Expected a checkpoint in"):
                trainer(program=program).restore(folder)


def test_checkpoint_of_another(program: Program, tmp_path: Path) -> None:
    trainer(program=program).save(tmp_path)
    for other in (
        trainer(program=program, seed=4),
        trainer(program=program, spec=SPECS[1]),
        trainer({"batch_size": 16}),
    ):
        with pytest.raises(TrialError, match="Received one of another fold, seed or configuration"):
            other.restore(tmp_path)
    facts = json.loads((tmp_path / STATE).read_text())
    (tmp_path / STATE).write_text(json.dumps({**facts, "arrays": "../" + facts["arrays"]}))
    trainer(program=program).restore(tmp_path)  # looked for in the folder alone


def test_program_of_another_configuration(program: Program) -> None:
    with pytest.raises(ValueError, match="another one's"):
        trainer({"batch_size": 16}, program=program)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"learning_rat": 1}, "Received 'learning_rat'. Did you mean learning_rate?"),
        ({"filter": 1}, "Did you mean filters?"),
        ({"learning_rate": 0}, "Parameter learning_rate"),
        ({"scaling": "log"}, "Expected one of minmax, zscore, rank"),
        ({"layout": "circle"}, "Expected a layout, one of"),
        ({"layout": "4x4x1"}, "4x4x1"),
        ({"optimizer": "lion"}, "Parameter optimizer"),
        ({"batch_size": 1}, "Parameter batch_size"),
    ],
)
def test_wrong_parameters(params: dict[str, Any], said: str) -> None:
    with pytest.raises(TrialError) as refused:
        input_shape(params, GENES)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_parameters_have_one_owner_each() -> None:
    names = known_parameters()
    assert len(set(names)) == len(names)
    training, network = split_params({"filters": 4, "batch_size": 8})
    assert (training.batch_size, network.model_dump()["filters"]) == (8, 4)


def test_optimizers() -> None:
    def config(**params: Any) -> dict[str, Any]:
        settings = TrainingParams.parse(
            {"learning_rate": 0.01, "epsilon": 1e-4, "momentum": 0.8, "weight_decay": 0.2, **params}
        )
        optimizer = settings.make_optimizer()
        return {"class": type(optimizer).__name__, **optimizer.get_config()}

    for name, kind in {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "sgd": "SGD"}.items():
        found = config(optimizer=name)
        assert found["class"] == kind
        assert found["learning_rate"] == pytest.approx(0.01)
        assert found.get("epsilon", 1e-4) == 1e-4
        assert found.get("momentum", 0.8) == 0.8
        assert found["weight_decay"] == (0.2 if name == "adamw" else None)


PROCESS = """
import resource, sys
from aio_tune.training import configure_backend
configure_backend(threads=1, deterministic=True)
import tensorflow as tf
assert tf.config.threading.get_intra_op_parallelism_threads() == 1
assert tf.config.get_visible_devices("GPU") == []
configure_backend(threads=1)  # again, the same: nothing to say
import gc
from tests.models.small import CLASSES, TINY, samples
from aio_tune.errors import TrialError
from aio_tune.training import FoldSpec, FoldTrainer, Shelf
import numpy as np
x, y = samples()
spec = FoldSpec(0, np.arange(22), np.arange(22, 44))
seen, losses, shelf = [], set(), Shelf()
for trial in range(int(sys.argv[1])):
    kept = shelf if sys.argv[2] == "shared" else Shelf()
    report = FoldTrainer({**TINY, "branches": "embedding"}, x, y, spec, CLASSES, seed=1, shelf=kept).train_to(1)
    losses.add(tuple(report.probabilities.ravel().tolist()))
    del report
    gc.collect()
    with open("/proc/self/statm") as file:
        seen.append(int(file.read().split()[1]) * resource.getpagesize() / 2**20)
assert len(losses) == 1, losses
try:
    configure_backend(threads=2)
except TrialError as error:
    assert "before its first use" in str(error)
else:
    raise AssertionError("threads were changed after the first use")
try:
    configure_backend(threads=1, gpu_share=0.5)
except TrialError as error:
    print(error, file=sys.stderr)
print(*(round(mib, 1) for mib in seen))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux' /proc")
@pytest.mark.parametrize(("shelf", "most"), [("own", 8.0), ("shared", 1.0)])
def test_a_process_of_many_trials(shelf: str, most: float) -> None:
    """Threads and GPUs as asked for, bit-identical results, and memory that does not pile up from trial to trial.

    Args:
        shelf: of each trial, or of all.
        most: MiB a trial. TensorFlow keeps some 5 of each network that it traces; a second traced step, or whatever we
            would keep, would come on top.
    """
    trials = 8
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(trials), shelf], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    resident = [float(mib) for mib in done.stdout.split()]
    assert len(resident) == trials
    assert (resident[-1] - resident[2]) / (trials - 3) < most, resident
