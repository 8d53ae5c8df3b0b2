"""An epoch of training steps, and prediction, each in one call of TensorFlow."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def epoch_function(model: keras.Model) -> Callable[..., Any]:
    """Keras' own training step, repeated over the batches within TensorFlow.

    Between two calls of a step Python works for some milliseconds, in which the cores wait; a small network's step
    takes no longer itself.

    Returns:
        A function of pictures (n, ...), lists of targets (n, classes) and weights (n,), one for each output, and the
        rows of each batch (batches, size). It trains on batch after batch until a loss is not finite, and returns their
        losses (batches,), 0 for those left out then. Traced once, whatever the numbers of rows and batches.
    """

    def train(images: Any, targets: Any, weights: Any, order: Any) -> Any:
        batches = tf.shape(order)[0]

        def goes_on(i: Any, loss: Any, _: Any) -> Any:
            return (i < batches) & tf.math.is_finite(loss)

        def step(i: Any, _: Any, losses: Any) -> Any:
            y, w = ([tf.gather(part, order[i]) for part in parts] for parts in (targets, weights))
            # Of one output Keras expects no list.
            data = (y, w) if len(y) > 1 else (y[0], w[0])
            model.reset_metrics()  # or else the loss would be the mean since the first batch
            loss = model.train_step((tf.gather(images, order[i]), *data))["loss"]
            return i + 1, loss, losses.write(i, loss)

        none = tf.TensorArray(tf.float32, size=batches, element_shape=())
        return tf.while_loop(goes_on, step, (0, 0.0, none), parallel_iterations=1)[2].stack()

    signature = (
        _pictures(model),
        [tf.TensorSpec((None, output.shape[-1]), tf.float32) for output in model.outputs],
        [tf.TensorSpec((None,), tf.float32) for _ in model.outputs],
        tf.TensorSpec((None, None), tf.int64),
    )
    return tf.function(train, input_signature=signature, autograph=False)


def predict_function(model: keras.Model) -> Callable[..., Any]:
    """A function from pictures (n, ...) to probabilities (n, classes); traced once, whatever their number."""
    return tf.function(lambda images: model(images, training=False), input_signature=(_pictures(model),))


def _pictures(model: keras.Model) -> Any:
    """Of any number of pictures."""
    return tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
