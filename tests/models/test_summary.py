"""Layers as read from the file, against Keras' own answers."""

from pathlib import Path
from typing import Any

import pytest

from aio_tune.errors import RegistryError
from aio_tune.models import build
from aio_tune.models.summary import network_layers, summary_text


@pytest.mark.parametrize(
    ("params", "shape"),
    [
        ({"branches": "both", "filters": 4, "depth": 2, "batch_norm": True}, (32, 32, 1)),
        ({"branches": "conv", "filters": 2, "depth": 1, "pool": 4}, (33, 33, 4)),
        ({"branches": "embedding", "fc_widths": [8, 4]}, (16, 16, 1)),
        ({"branches": "both", "filters": 2, "depth": 1}, (64, 1)),
    ],
    ids=str,
)
def test_shapes_and_weights_are_those_of_keras(params: dict[str, Any], shape: tuple[int, ...], tmp_path: Path) -> None:
    model = build(params, shape, 3, seed=0)
    model.save(tmp_path / "n.keras")
    layers = network_layers(tmp_path / "n.keras")
    assert {layer.name: layer.parameters for layer in layers} == {one.name: one.count_params() for one in model.layers}
    for layer in layers:
        assert layer.shape == tuple(model.get_layer(layer.name).output.shape[1:]), layer.name
        assert set(layer.inputs) <= {before.name for before in layers[: layers.index(layer)]}
    text = summary_text(layers)
    assert text.count("\n") == len(layers) + 3
    assert f"{model.count_params():,} weights" in text


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.keras").write_bytes(b"no network")
    with pytest.raises(RegistryError, match=r"Expected a \.keras file"):
        network_layers(tmp_path / "n.keras")
