"""What a stored network is made of, layer by layer; read from its configuration, without loading it or Keras."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

from aio_tune.figures import Layer
from aio_tune.models.safety import check_keras

# Weights per channel of a batch normalisation: scale, shift, moving mean and moving variance.
_NORMALISATION = 4


def network_layers(path: Path) -> list[Layer]:
    """The layers of a ``.keras`` file, each after those that it takes from.

    Raises:
        RegistryError: it is not a ``.keras`` file of ours.
    """
    check_keras(path)
    with zipfile.ZipFile(path) as archive:
        described = json.loads(archive.read("config.json"))["config"]["layers"]
    layers: dict[str, Layer] = {}
    for layer in described:
        config, kind = layer["config"], layer["class_name"]
        inputs = tuple(tensor["keras_history"][0] for tensor in _tensors(layer["inbound_nodes"]))
        before = [layers[name].shape for name in inputs]
        shape = _shape(kind, config, before)
        layers[layer["name"]] = Layer(
            layer["name"], kind, shape, _parameters(kind, config, before, shape), inputs, _detail(kind, config)
        )
    return list(layers.values())


def summary_text(layers: list[Layer]) -> str:
    """A table of the layers in plain text, as wide as its longest names."""
    rows = [("layer", "kind", "setting", "output", "weights", "from")]
    rows += [
        (one.name, one.kind, one.detail, "x".join(map(str, one.shape)), f"{one.parameters:,}", ", ".join(one.inputs))
        for one in layers
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    total = sum(layer.parameters for layer in layers)
    return "\n".join([*lines, "", f"{total:,} weights in all, those that are not trained included."]) + "\n"


def _tensors(value: Any) -> list[dict[str, Any]]:
    """Configurations of the tensors that a layer was called with."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [value["config"]]
        value = list(value.values())
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list) else []


def _shape(kind: str, config: dict[str, Any], before: list[tuple[int, ...]]) -> tuple[int, ...]:
    if kind == "InputLayer":
        return tuple(config["batch_shape"][1:])
    *sides, channels = before[0]
    if kind == "Flatten":
        return (math.prod(before[0]),)
    if kind == "Concatenate":
        channels = sum(shape[-1] for shape in before)
    elif kind.startswith(("Conv", "MaxPooling")):
        sides = _moved(sides, config.get("kernel_size") or config["pool_size"], config)
    return (*sides, config.get("units") or config.get("filters") or channels)


def _moved(sides: list[int], window: list[int], config: dict[str, Any]) -> list[int]:
    """How many places a window takes along each side."""
    strides = config["strides"]
    if config["padding"] == "same":
        return [math.ceil(side / step) for side, step in zip(sides, strides, strict=True)]
    return [(side - w) // step + 1 for side, w, step in zip(sides, window, strides, strict=True)]


def _parameters(kind: str, config: dict[str, Any], before: list[tuple[int, ...]], shape: tuple[int, ...]) -> int:
    bias = int(config.get("use_bias", False))
    if kind == "Dense":
        return (before[0][-1] + bias) * shape[-1]
    if kind.startswith("Conv"):
        return (math.prod(config["kernel_size"]) * before[0][-1] + bias) * shape[-1]
    return _NORMALISATION * shape[-1] if kind == "BatchNormalization" else 0


def _detail(kind: str, config: dict[str, Any]) -> str:
    if kind.startswith("Conv"):
        return "x".join(map(str, config["kernel_size"]))
    if kind.startswith("MaxPooling"):
        return "x".join(map(str, config["pool_size"]))
    if kind == "Dropout":
        return f"rate {config['rate']:g}"
    return str(config["activation"]) if kind in ("Dense", "Activation") else ""
