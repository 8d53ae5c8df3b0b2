"""Gradients by the backend that Keras runs on; everything else here is ``keras.ops``."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import EvaluationError

Floats = npt.NDArray[np.float32]


def gradients(score: Callable[[Any], Any], x: Floats, classes: Sequence[int]) -> tuple[Floats, Floats]:
    """Scores and their gradients by the input.

    Args:
        score: tensor (n, ...) -> tensor (n, n_classes); row i of the result depends on row i alone.
        x: float32, shape (n, ...).
        classes: columns of the scores to differentiate.

    Returns:
        The scores (n, n_classes), and the gradients (len(classes), n, ...), 0 where a score does not depend on the
        input.

    Raises:
        EvaluationError: Keras runs on a backend other than TensorFlow or JAX.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tensor = tf.convert_to_tensor(x)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tensor)
            values = score(tensor)
            parts = [values[:, c] for c in classes]
        found = [tape.gradient(part, tensor, unconnected_gradients=tf.UnconnectedGradients.ZERO) for part in parts]
    elif backend == "jax":
        import jax

        values = score(x)
        found = [jax.grad(lambda tensor, c=c: score(tensor)[:, c].sum())(x) for c in classes]
    else:
        raise EvaluationError(
            f"Expected Keras to run on tensorflow or jax, whose gradients are known here. Received {backend}.",
            "Set KERAS_BACKEND=tensorflow, or take the method occlusion, which needs no gradient.",
        )
    return np.asarray(values, np.float32), np.stack([np.asarray(one, np.float32) for one in found])
