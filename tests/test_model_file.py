"""Files of networks: to the byte what Keras itself would have written."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from aio_tune.models import build, to_numpy
from aio_tune.training import input_shape, split_params
from aio_tune.training.model_file import ModelFile
from tests.models.small import GENES, TINY

NETWORKS: dict[str, dict[str, Any]] = {
    "two branches": {"branches": "both", "dropout": 0.3, "input_dropout": 0.2},
    "embedding": {"branches": "embedding", "batch_norm": False},
    "ordinal": {"branches": "conv", "head": "ordinal"},
}


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "metadata.json"}  # has the date


@pytest.mark.parametrize("params", NETWORKS.values(), ids=NETWORKS)
def test_as_keras_writes_it(params: dict[str, Any], tmp_path: Path) -> None:
    params = {**TINY, **params}
    model = build(split_params(params)[1].model_dump(), input_shape(params, GENES), 3, 0)
    rng = np.random.default_rng(0)
    folds = [[rng.uniform(0, 9, one.shape).astype(one.dtype) for one in map(to_numpy, model.variables)] for _ in "ab"]
    file = ModelFile(model, tmp_path / "ours.keras")
    for values in folds:
        file.write(values, tmp_path / "ours.keras")
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)
        model.save(tmp_path / "theirs.keras")
        assert contents(tmp_path / "ours.keras") == contents(tmp_path / "theirs.keras")


def test_a_network_that_shares_a_layer(tmp_path: Path) -> None:
    """Keras writes its weights once; so do we."""
    shared, one = keras.layers.Dense(4, name="shared"), keras.Input((4,))
    model = keras.Model(one, keras.layers.add([shared(one), shared(shared(one))]))
    values = [np.full(variable.shape, 0.5, np.float32) for variable in model.variables]
    file = ModelFile(model, tmp_path / "ours.keras")
    file.write(values, tmp_path / "ours.keras")
    read = keras.saving.load_model(tmp_path / "ours.keras")
    assert all((to_numpy(variable) == 0.5).all() for variable in read.variables)


def test_what_keras_leaves_out_is_noticed(tmp_path: Path) -> None:
    class Forgetful(keras.layers.Dense):
        def save_own_variables(self, store: Any) -> None:
            """Writes nothing."""

    one = keras.Input((4,))
    with pytest.raises(RuntimeError, match="Expected each weight once"):
        ModelFile(keras.Model(one, Forgetful(2)(one)), tmp_path / "ours.keras")
