"""Harmonisers within training, the ensemble, evaluation and the registered model."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aio_tune.errors import RegistryError, TrialError
from aio_tune.harmonise import HARMONISERS, LEAST_BATCH, SINGLE_SAMPLE
from aio_tune.models import build
from aio_tune.models.ensemble import Ensemble
from aio_tune.models.ensemble_files import EnsembleSpec, Member
from aio_tune.preprocess import Preprocessor
from aio_tune.tasks import TASKS, Task
from aio_tune.training import FoldSpec, FoldTrainer, Program, TrainingParams, input_shape
from aio_tune.training.checkpoint import MODEL, PREPROCESSING, STATE
from tests.models.small import CLASSES, GENES, TINY, samples

X, Y = samples()
SPEC = FoldSpec(0, np.arange(24), np.arange(24, 44))
GENE_NAMES = tuple(f"GENE{i}" for i in range(GENES))
TRANSDUCTIVE = [name for name in HARMONISERS if name not in SINGLE_SAMPLE]


def trainer(harmoniser: str, x: np.ndarray = X, spec: FoldSpec = SPEC) -> FoldTrainer:
    params = {**TINY, "harmoniser": harmoniser}
    program = PROGRAMS.setdefault(harmoniser, Program(params, input_shape(params, GENES), len(CLASSES)))
    return FoldTrainer(params, x, Y, spec, CLASSES, seed=3, program=program)


PROGRAMS: dict[str, Program] = {}
"""Building and tracing a network costs seconds."""


def test_the_default_is_none() -> None:
    assert TrainingParams().harmoniser == "none"
    with pytest.raises(TrialError, match=r"Parameter harmoniser: .*Expected one of none, rank, .* Received 'batch'"):
        TrainingParams.parse({"harmoniser": "batch"})


@pytest.mark.parametrize("name", ["none", "quantile", "combat"])
def test_a_fold_is_fitted_on_its_training_rows_and_its_validation_rows_are_a_batch(name: str, tmp_path: Path) -> None:
    fold = trainer(name)
    report = fold.train_to(2)
    fold.export(tmp_path)
    fitted = HARMONISERS[name].fit(X[SPEC.train])
    for array, expected in zip(fold.preprocessor.harmoniser.state().values(), fitted.state().values(), strict=True):
        np.testing.assert_array_equal(array, expected)
    # The reported probabilities are those of the exported fold on the validation rows together.
    ensemble = ensemble_of(tmp_path, tmp_path / PREPROCESSING, tmp_path / MODEL)
    np.testing.assert_allclose(ensemble.predict_matrix(X[SPEC.valid])[0], report.probabilities, atol=1e-6)
    # Validation rows of another kind leave the trained network as it is.
    other = X.copy()
    other[SPEC.valid] = other[SPEC.valid] * 0.5 + 3
    again = trainer(name, other)
    assert again.train_to(2).curves["train_loss"] == report.curves["train_loss"]


def test_the_platform_of_the_validation_rows_is_harmonised_away() -> None:
    """Shift and spread of every gene differ in the validation rows: only with combat are they what they were."""
    random = np.random.default_rng(0)
    moved = X.copy()
    spread, shift = random.uniform(0.8, 1.3, GENES), random.normal(0, 3, GENES)
    moved[SPEC.valid] = moved[SPEC.valid] * spread + shift
    change = {}
    for name in ("none", "combat"):
        here, there = (trainer(name, x).preprocessor.transform(x[SPEC.valid]) for x in (X, moved))
        change[name] = float(np.abs(here - there).mean())
    assert change["combat"] < 0.1 * change["none"]


@pytest.mark.parametrize("name", TRANSDUCTIVE)
def test_too_few_validation_rows_are_refused(name: str) -> None:
    few = FoldSpec(1, SPEC.train, SPEC.valid[: LEAST_BATCH - 1])
    with pytest.raises(TrialError) as refused:
        trainer(name, spec=few)
    assert str(refused.value) == (
        f"Expected at least 10 validation rows for harmoniser {name}, to which they are a cohort. Received 9 in fold 1."
        " Use fewer folds, or one of the harmonisers none, rank, quantile, denoise."
    )


def test_a_checkpoint_from_before_there_were_harmonisers_goes_on(tmp_path: Path) -> None:
    fold = trainer("none")
    fold.train_to(1)
    fold.save(tmp_path)
    facts = json.loads((tmp_path / STATE).read_text())
    del facts["configuration"]["harmoniser"]
    (tmp_path / STATE).write_text(json.dumps(facts))
    again = trainer("none")
    again.restore(tmp_path)
    assert again.epoch == 1
    with pytest.raises(TrialError, match="another fold, seed or configuration"):
        trainer("quantile").restore(tmp_path)


def ensemble_of(folder: Path, preprocessing: Path, model: Path) -> Ensemble:
    spec = EnsembleSpec("ki67", CLASSES, GENE_NAMES, X.mean(axis=0), frozenset({"p"}), frozenset({"h"}))
    Ensemble.save(folder / "ensemble", [Member(0, model, preprocessing)], spec)
    return Ensemble.load(folder / "ensemble")


def untrained(folder: Path, harmoniser: str) -> Ensemble:
    preprocessor = Preprocessor.fit("zscore", "square", X[:30], 0, harmoniser=harmoniser)
    preprocessor.save(folder / "p.npz")
    network = {name: TINY[name] for name in ("filters", "depth", "embedding_width", "fc_widths")}
    build(network, preprocessor.shape, 2, seed=1).save(folder / "m.keras")
    return ensemble_of(folder, folder / "p.npz", folder / "m.keras")


def frame(n: int) -> pd.DataFrame:
    return pd.DataFrame(samples(n, seed=5)[0] + np.float32(1), columns=list(GENE_NAMES))


@pytest.mark.parametrize("name", SINGLE_SAMPLE)
def test_an_ensemble_that_takes_a_single_sample(name: str, tmp_path: Path) -> None:
    ensemble = untrained(tmp_path, name)
    assert (ensemble.harmonisers, ensemble.least_batch) == ((name,), 0)
    together = ensemble.predict(frame(14)).probabilities
    assert np.ptp(together[:, 0]) > 1e-3
    np.testing.assert_allclose(ensemble.predict(frame(14).iloc[[4]]).probabilities, together[[4]], atol=1e-6)


@pytest.mark.parametrize("name", TRANSDUCTIVE)
def test_an_ensemble_that_needs_a_cohort(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = untrained(tmp_path, name)
    assert (ensemble.harmonisers, ensemble.least_batch) == ((name,), LEAST_BATCH)
    for call in (lambda: ensemble.predict(frame(1)), lambda: ensemble.predict_matrix(X[:1])):
        with pytest.raises(RegistryError) as refused:
            call()
        assert str(refused.value) == (
            f"Expected a whole cohort, at least 10 samples: the model's harmoniser ({name}) compares each with the "
            "others. Received 1. Call the cohort's samples together, or use a model whose harmoniser is one of none, "
            "rank, quantile, denoise."
        )
    together = ensemble.predict(frame(14)).probabilities
    assert not np.allclose(ensemble.predict(frame(14).iloc[:11]).probabilities, together[:11], atol=1e-4)
    monkeypatch.setattr("aio_tune.models.ensemble.ROWS_AT_ONCE", 3)  # pictures come in pieces, the batch does not
    np.testing.assert_allclose(ensemble.predict(frame(14)).probabilities, together, atol=1e-6)
    # A gene that the cohort lacks is filled in, constant, and does no harm.
    without = ensemble.predict(frame(14).drop(columns="GENE7"))
    assert without.missing_genes == ("GENE7",)
    assert np.isfinite(without.probabilities).all()


def test_evaluation_takes_the_whole_cohort_for_the_batch(tmp_path: Path) -> None:
    """Those without a label count as much as the others, and no label changes what a sample is called."""
    from aio_tune.evaluation.external import evaluate

    ensemble = untrained(tmp_path, "cohort_zscore")
    table = samples(30, seed=6)[0]
    labels = np.where(np.arange(30) % 3 == 0, None, np.where(np.arange(30) % 2, "positive", "negative"))
    dataset = _Cohort(table, labels)
    evaluation: Any = evaluate(ensemble, dataset, "C", bootstrap=1)  # type: ignore[arg-type]
    whole = ensemble.predict(pd.DataFrame(table, columns=list(GENE_NAMES))).probabilities
    known = np.array([label is not None for label in labels])
    np.testing.assert_array_equal(evaluation.probabilities, whole[known])
    assert (evaluation.n, evaluation.n_unlabelled) == (20, 10)
    assert evaluation.calls["truth"].tolist() == labels[known].tolist()
    swapped = np.array([{"positive": "negative", "negative": "positive"}.get(label) for label in labels], dtype=object)
    other: Any = evaluate(ensemble, _Cohort(table, swapped), "C", bootstrap=1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(other.probabilities, evaluation.probabilities)


class _Cohort:
    """As much of an ``AioDataset`` as ``evaluate`` looks at; one cohort."""

    cohort_names = ("C",)
    genes = columns = GENE_NAMES
    manifest = SimpleNamespace(kinds=())
    fingerprint = "f"

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        self._x = x
        names = [f"C:{i}" for i in range(len(x))]
        self._samples = pd.DataFrame({"sample_id": names, "patient_id": names, "cohort": "C", "profile_sha256": names})
        self._samples["ki67"] = labels

    def samples(self, cohorts: list[str]) -> pd.DataFrame:
        return self._samples if cohorts else self._samples.iloc[:0]

    def matrix(self, cohorts: list[str]) -> np.ndarray:
        return self._x

    def simulated(self, cohorts: list[str]) -> bool:
        return True

    def task(self, name: str) -> Task:
        return TASKS[name]


ALONE = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow.pyfunc, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
import aio_tune.harmonise.fsqn as brought
assert brought.__file__.startswith(sys.argv[1]), brought.__file__
assert not {"aio_tune.harmonise.shift", "aio_tune.search"} & set(sys.modules)
frame = pd.read_json(sys.argv[2], orient="split")
model.predict(frame).to_json(sys.argv[3], orient="split")
try:
    model.predict(frame.iloc[:1])
except Exception as error:
    assert "Expected a whole cohort, at least 10 samples" in str(error), error
else:
    raise AssertionError("a single patient was accepted")
"""


@pytest.mark.slow
def test_a_registered_model_brings_its_harmoniser(tmp_path: Path) -> None:
    """Saved with an example too small for it, since examples are for people; called and refused like the ensemble."""
    from aio_tune.tracking import pyfunc

    ensemble = untrained(tmp_path, "fsqn")
    ids = {"run_id": "r", "model_id": "m-1", "artifact_path": "x"}
    pyfunc.save_pyfunc(tmp_path / "ensemble", tmp_path / "model", ids=ids, metadata_facts={}, example=frame(14))
    frame(14).to_json(tmp_path / "in.json", orient="split", double_precision=15)
    arguments = [tmp_path / "model", tmp_path / "in.json", tmp_path / "out.json"]
    clean = {"PATH": "/usr/bin:/bin", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, arguments)],
        check=False, cwd=tmp_path, env=clean, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = pd.read_json(tmp_path / "out.json", orient="split")
    expected = ensemble.predict(frame(14)).probabilities
    np.testing.assert_allclose(calls[[f"p_{name}" for name in CLASSES]], expected, atol=1e-5)
