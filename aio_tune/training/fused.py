"""Batch normalisation and Adam in one kernel each, and an epoch in one call, for Keras' TensorFlow backend alone.

Keras 3 writes both out of elementary operations, which run through memory again and again: of a step of the default
network at 64 x 64 x 4 on one core, batch normalisation took a third and Adam an eighth. TensorFlow has kernels that
give the same within rounding. Variables and their order stay those of the layers and optimizers replaced, so a fold's
state and the model that is saved are what they would be without.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Over the last axis of sequences (n, length, channels) and pictures (n, height, width, channels), in training."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        # As in Keras, a layer that is not trained keeps to its moving averages.
        if not (training and self.trainable) or len(inputs.shape) not in (3, 4):
            return super().call(inputs, training=training, mask=mask)
        pictures = inputs if len(inputs.shape) == 4 else inputs[:, tf.newaxis]
        normal, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=pictures, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        # The kernel gives the variance of a sample, Keras averages that of the batch.
        n = tf.cast(tf.size(pictures) // tf.shape(pictures)[-1], variance.dtype)
        self._average(self.moving_mean, mean)
        self._average(self.moving_variance, variance * (n - 1) / n)
        return normal if len(inputs.shape) == 4 else normal[:, 0]

    def _average(self, moving: Any, value: Any) -> None:
        moving.assign(moving * self.momentum + value * (1 - self.momentum))


class _OneKernel(keras.optimizers.Adam):
    """Adam's update of a variable as one operation."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class FusedAdam(_OneKernel):
    """``keras.optimizers.Adam``."""


class FusedAdamW(_OneKernel, keras.optimizers.AdamW):
    """``keras.optimizers.AdamW``, whose decay comes before the update."""


def with_fused_layers(model: keras.Model) -> keras.Model:
    """The same network, with weights of its own, which does each batch normalisation in one kernel where one exists."""

    def clone(layer: Any) -> Any:
        kind = FusedBatchNormalization if _fusible(layer) else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=clone)


def with_fused_update(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimizer, not built; itself if there is no kernel for it."""
    kinds = {keras.optimizers.Adam: FusedAdam, keras.optimizers.AdamW: FusedAdamW}
    kind = kinds.get(type(optimizer))
    return optimizer if kind is None else kind.from_config(optimizer.get_config())


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


def _fusible(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, layer.input.ndim - 1)
        and layer.scale
        and layer.center
        and not layer.renorm
    )
