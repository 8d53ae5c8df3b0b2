"""Batch normalisation and Adam in one kernel each, for Keras' TensorFlow backend alone.

Keras 3 writes both out of elementary operations, which run through memory again and again: of a step of the default
network at 64 x 64 x 4 on one core, batch normalisation took a third and Adam an eighth. TensorFlow has kernels that
give the same within rounding. Variables and their order stay those of the layers and optimizers replaced, so a fold's
state and the model that is saved are what they would be without.
"""

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


def _fusible(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, layer.input.ndim - 1)
        and layer.scale
        and layer.center
        and not layer.renorm
    )
