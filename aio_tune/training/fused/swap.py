"""A network and an optimizer of Keras, and the same ones in kernels of this room."""

from typing import Any

import keras

from aio_tune.training.fused.layers import FusedBatchNormalization, FusedDropout, FusedL2
from aio_tune.training.fused.optimizers import FusedAdam, FusedAdamW, FusedRMSprop

KERNELS: dict[type, Any] = {
    keras.optimizers.Adam: FusedAdam,
    keras.optimizers.AdamW: FusedAdamW,
    keras.optimizers.RMSprop: FusedRMSprop,
}


def with_fused_layers(model: keras.Model) -> keras.Model:
    """The same network in kernels of this module where there are some; its weights, not drawn, are yet to be set."""

    def clone(layer: Any) -> Any:
        penalty: Any = getattr(layer, "kernel_regularizer", None)
        config = layer.get_config()
        if "kernel_initializer" in config:
            config["kernel_initializer"] = "zeros"
        copy = _kind(layer).from_config(config)
        if of_squares_alone(penalty):
            copy.kernel_regularizer = FusedL2(float(penalty.l2)) if penalty.l2 else None
        return copy

    return keras.models.clone_model(model, clone_function=clone)


def with_fused_update(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimizer, not built; itself if there is no kernel for it."""
    kind = KERNELS.get(type(optimizer))
    if kind is None or getattr(optimizer, "centered", False):
        return optimizer
    return kind.from_config(optimizer.get_config())


def _kind(layer: Any) -> Any:
    """What takes a layer's place."""
    if drops_as_ours(layer):
        return FusedDropout
    return FusedBatchNormalization if _normalises_as_the_kernel(layer) else type(layer)


def drops_as_ours(layer: Any) -> bool:
    """Whether it is a layer of Keras' that ``FusedDropout`` takes the place of."""
    known = None not in layer.output.shape[1:]
    return type(layer) is keras.layers.Dropout and layer.noise_shape is None and known and layer.rate > 0


def of_squares_alone(penalty: Any) -> bool:
    """Whether it is a penalty of Keras' that ``FusedL2`` takes the place of."""
    return isinstance(penalty, keras.regularizers.L2 | keras.regularizers.L1L2) and not getattr(penalty, "l1", 0)


def _normalises_as_the_kernel(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, layer.input.ndim - 1)
        and layer.scale
        and layer.center
        and not layer.renorm
    )
