"""Numbers that a traced step reads from variables.

Keras keeps a layer's rate of dropout, a penalty's strength and an optimizer's epsilon as Python numbers, which
TensorFlow traces as constants. As variables they can be set: what was traced for one configuration then trains every
other one of the same structure, that is, one which differs in such numbers alone.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from aio_tune.training.fused.layers import FusedDropout, FusedL2
from aio_tune.training.fused.swap import KERNELS, drops_as_ours, of_squares_alone


class _Number(NamedTuple):
    """Attribute ``name`` of a layer, its penalty or the optimizer; ``layer`` is the layer's name, None for the last."""

    owner: Any
    name: str
    layer: str | None


def dials(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[tf.Variable]:
    """Variables that take the place of numbers in a network and an optimizer of this room, which are not yet traced."""
    made = []
    for owner, name, _ in list(_numbers(model, optimizer)):
        # Twice as exact as a rate's uses, so that they are rounded as they would be of a Python number.
        dtype = tf.float64 if name == "rate" else tf.float32
        made.append(tf.Variable(getattr(owner, name), trainable=False, dtype=dtype))
        setattr(owner, name, made[-1])
    return made


def take_out(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, network: dict[str, Any], update: dict[str, Any]
) -> list[float]:
    """The numbers of a network and an optimizer of Keras', as dials are set; taken out of their configurations."""
    numbers = []
    layers = {layer["config"]["name"]: layer["config"] for layer in network["layers"]}
    for owner, name, layer in _numbers(model, optimizer):
        config = update if layer is None else layers[layer]
        if isinstance(owner, keras.regularizers.Regularizer):
            config = config["kernel_regularizer"]["config"]
        config[name] = "dial"
        numbers.append(float(getattr(owner, name)))
    return numbers


def _numbers(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Iterator[_Number]:
    """In the same order of a network of Keras' and of the one in kernels of this room."""
    for layer in model.layers:
        if isinstance(layer, FusedDropout) or drops_as_ours(layer):
            yield _Number(layer, "rate", layer.name)
        # The kernel for pictures has its epsilon traced.
        if isinstance(layer, keras.layers.BatchNormalization) and layer.input.ndim == 2:
            yield _Number(layer, "epsilon", layer.name)
        penalty: Any = getattr(layer, "kernel_regularizer", None)
        if isinstance(penalty, FusedL2) or (of_squares_alone(penalty) and penalty.l2 > 0):
            yield _Number(penalty, "l2", layer.name)
    if isinstance(optimizer, tuple(KERNELS)):
        yield _Number(optimizer, "epsilon", None)
        # Where there is none, there is no operation that would read it.
        for name in ("weight_decay", "momentum"):
            if getattr(optimizer, name, None):
                yield _Number(optimizer, name, None)
