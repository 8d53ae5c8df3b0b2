"""Grad-CAM (Selvaraju et al., ICCV 2017; arXiv:1610.02391): where in the picture the convolutions look.

It has the resolution of the last convolution, some pixels of the picture each, and cannot tell the channels of a pixel
apart, so that neighbours share what they get. It sees nothing of a branch without convolutions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import EvaluationError
from aio_tune.evaluation.attribution.backend import Floats, gradients
from aio_tune.evaluation.attribution.base import Attribution, Sight
from aio_tune.evaluation.attribution.scores import Score, batches, before_softmax

if TYPE_CHECKING:
    import keras


def grad_cam(sight: Sight, classes: Sequence[int]) -> Attribution:
    """Grad-CAM on the last convolution, behind its normalisation and ReLU; see ``base.Attribute``.

    Each feature map is weighted by the mean over its pixels of the log-odds' gradient by it, the sum is cut off below
    0, and enlarged to the picture linearly; every channel of a pixel gets the same.

    Raises:
        EvaluationError: the network has no convolution.
    """
    import keras

    maps = _last_maps(sight.model)
    tensor, finish = before_softmax(sight.model)
    lower = keras.Model(sight.model.inputs[0], maps)
    upper = keras.Model([maps, sight.model.inputs[0]], tensor)
    shape = sight.pictures.shape
    pixels = np.empty((len(classes), *shape), np.float32)
    for rows in batches(sight.pictures):
        pictures = sight.pictures[rows]
        features = np.asarray(keras.ops.convert_to_numpy(lower(pictures, training=False)), np.float32)
        _, found = gradients(_of_maps(upper, finish, pictures), features, classes)
        weights = found.mean(axis=tuple(range(2, found.ndim - 1)), keepdims=True)
        maps_of_classes = np.maximum((weights * features).sum(axis=-1), 0)
        pixels[:, rows] = enlarge(maps_of_classes, shape[1:-1])[..., None]
    return Attribution(pixels, signed=False)


def _of_maps(upper: "keras.Model", finish: Score, pictures: Floats) -> Score:
    """The log-odds as a function of the maps: another branch goes on seeing the pictures."""
    import keras

    tensor = keras.ops.convert_to_tensor(pictures)
    return lambda maps: finish(upper([maps, tensor], training=False))


def enlarge(maps: npt.NDArray[np.floating], sides: tuple[int, ...]) -> npt.NDArray[np.floating]:
    """Linear interpolation of the last axes of ``maps`` to ``sides``.

    Values are at the middles of pixels, and constant past the outermost middles.
    """
    for axis, side in zip(range(maps.ndim - len(sides), maps.ndim), sides, strict=True):
        length = maps.shape[axis]
        at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape(-1, *[1] * (maps.ndim - 1 - axis))
        high = np.minimum(low + 1, length - 1)
        maps = np.take(maps, low, axis) * (1 - share) + np.take(maps, high, axis) * share
    return maps


def _last_maps(model: "keras.Model") -> Any:
    """Output of the last convolution, or of the normalisation and activation behind it."""
    from keras import layers

    convolutions = [i for i, layer in enumerate(model.layers) if isinstance(layer, layers.Conv1D | layers.Conv2D)]
    if not convolutions:
        raise EvaluationError(
            "Expected a network with convolutions for Grad-CAM. Received one of an embedding branch alone.",
            "Take the method integrated-gradients or occlusion.",
        )
    last = convolutions[-1]
    maps = model.layers[last].output
    for layer in model.layers[last + 1 :]:
        if isinstance(layer, layers.BatchNormalization | layers.Activation | layers.ReLU) and layer.input is maps:
            maps = layer.output
    return maps
