"""A real ensemble, of untrained networks, saved as MLflow saves models; and samples to call with it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from aio_tune.tracking import pyfunc

CLASSES = ("negative", "positive")

# Loads the model folder argv[1], calls the samples in argv[2] and writes the calls to argv[3], in a process that should
# know aio_tune from the model folder alone.
ALONE = """
import json, sys
from pathlib import Path
import mlflow.pyfunc
import pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
import aio_tune
assert Path(aio_tune.__file__).is_relative_to(sys.argv[1]), aio_tune.__file__
foreign = {"ray", "optuna", "aio_tune.search", "aio_tune.training"} & set(sys.modules)
assert not foreign, foreign
frame = pd.read_json(sys.argv[2], orient="split")
model.predict(frame).to_json(sys.argv[3], orient="split")
try:
    model.predict(frame.iloc[:, :3])
except Exception as error:
    assert "genes to be missing" in str(error), error
else:
    raise AssertionError("too many missing genes were accepted")
"""


@dataclass(frozen=True)
class RealModel:
    """The folders of one ensemble, and three samples.

    Attributes:
        ensemble: as written by ``Ensemble.save``.
        model: the MLflow model folder of it.
        samples: log2(TPM+1), genes shuffled and one of them missing.
    """

    ensemble: Path
    model: Path
    samples: pd.DataFrame

    def check(self, calls: pd.DataFrame, samples: pd.DataFrame | None = None) -> None:
        """Assert that the model folder calls the samples as the ensemble itself does."""
        from aio_tune.models.ensemble import Ensemble

        expected = Ensemble.load(self.ensemble).predict(self.samples if samples is None else samples).probabilities
        np.testing.assert_allclose(calls[[f"p_{name}" for name in CLASSES]], expected, atol=1e-5)
        assert list(calls["call"]) == [CLASSES[i] for i in expected.argmax(axis=1)]


def build_real_model(folder: Path) -> RealModel:
    from aio_tune.models import build
    from aio_tune.models.ensemble import Ensemble
    from aio_tune.models.ensemble_files import EnsembleSpec, Member
    from aio_tune.preprocess import Preprocessor

    genes = tuple(f"G{i}" for i in range(64))
    rng = np.random.default_rng(0)
    x = rng.normal(3, 1, (12, 64)).astype(np.float32)
    members = []
    for fold in range(2):
        preprocessor = Preprocessor.fit("zscore", "square", x, 0)
        preprocessor.save(folder / f"{fold}.npz")
        network = build({}, preprocessor.transform(x[:1]).shape[1:], 2, seed=fold)
        network.save(folder / f"{fold}.keras")
        members.append(Member(fold, folder / f"{fold}.keras", folder / f"{fold}.npz"))
    spec = EnsembleSpec("ki67", CLASSES, genes, x.mean(axis=0), frozenset({"p"}), frozenset({"h"}), {"search": "s"})
    Ensemble.save(folder / "ensemble", members, spec)
    ids = {"run_id": "r", "model_id": "m-1", "artifact_path": "x"}
    pyfunc.save_pyfunc(folder / "ensemble", folder / "model", ids=ids, metadata_facts={})
    samples = pd.DataFrame(x[:3], columns=list(genes)).drop(columns="G5")
    return RealModel(folder / "ensemble", folder / "model", samples[rng.permutation(samples.columns)])
