"""Networks whose attributions can be worked out by hand, and what they see."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.evaluation.attribution import Sight
from aio_tune.evaluation.attribution.pixels import baseline
from aio_tune.models.ensemble import Ensemble
from aio_tune.models.ensemble_files import EnsembleSpec
from aio_tune.preprocess import Preprocessor

Floats = npt.NDArray[np.floating]


def linear_network(weights: Floats, bias: Sequence[float] | None = None) -> Any:
    """Softmax of a linear function of the pixels; ``weights`` has shape (*picture, n_classes)."""
    import keras

    *shape, n_classes = weights.shape
    picture = keras.Input(tuple(shape))
    dense = keras.layers.Dense(n_classes, activation="softmax", kernel_initializer=keras.initializers.HeNormal(seed=0))
    model = keras.Model(picture, dense(keras.layers.Flatten()(picture)))
    dense.set_weights([weights.reshape(-1, n_classes), np.zeros(n_classes) if bias is None else np.asarray(bias)])
    return model


def reading(preprocessor: Preprocessor, genes: dict[int, float], n_classes: int = 2) -> Any:
    """A network whose last logit is a weighted sum of some genes' pixels, and whose others are 0."""
    weights = np.zeros((*preprocessor.shape, n_classes), np.float32)
    for gene, weight in genes.items():
        weights[(*preprocessor.layout.pixel_of(gene), n_classes - 1)] = weight
    return linear_network(weights)


def sight_of(model: Any, preprocessor: Preprocessor, x: npt.NDArray[np.float32]) -> Sight:
    pictures = preprocessor.transform(x)
    means = x[:, : preprocessor.layout.n_genes].mean(axis=0)
    return Sight(model, preprocessor, pictures, baseline(preprocessor, means, pictures))


def ensemble_of(
    members: Sequence[tuple[Any, Preprocessor]],
    genes: Sequence[str],
    means: npt.NDArray[np.float32],
    *,
    task: str = "ki67",
    classes: tuple[str, ...] = ("negative", "positive"),
    patients: frozenset[str] = frozenset(),
    omics: dict[str, str] | None = None,
) -> Ensemble:
    spec = EnsembleSpec(task, classes, tuple(genes), means, patients, frozenset(), omics=omics or {})
    return Ensemble(spec, members)
