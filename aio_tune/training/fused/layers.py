"""Batch normalisation, dropout and penalties in few kernels."""

import math
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


class FusedDropout(keras.layers.Dropout):
    """Decided by 16 random bits an input instead of 32, since drawing them is what takes the time.

    The rate is met within 2**-17. Other inputs are left out than Keras would, as many and as independently.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        n, batch = math.prod(inputs.shape[1:]), tf.shape(inputs)[0]
        pairs = tf.random.stateless_uniform(
            [batch, (n + 1) // 2], self.seed_generator.next(), minval=None, maxval=None, dtype=tf.uint32
        )
        bits = tf.reshape(tf.bitcast(pairs, tf.uint16), [-1, n + n % 2])
        bits = tf.reshape(bits[:, :n] if n % 2 else bits, [-1, *inputs.shape[1:]])
        rate = tf.cast(self.rate, tf.float64)
        kept = bits >= tf.cast(tf.round(rate * 2**16), tf.uint16)
        return tf.where(kept, inputs * tf.cast(1 / (1 - rate), inputs.dtype), tf.zeros((), inputs.dtype))


class FusedL2(keras.regularizers.Regularizer):
    """``keras.regularizers.L2`` as one operation, and one of its gradient, where Keras takes two and three.

    Args:
        l2: what the sum of squares is multiplied with.
    """

    def __init__(self, l2: float) -> None:
        self.l2 = l2

    def __call__(self, x: Any) -> Any:
        return 2 * self.l2 * tf.nn.l2_loss(x)
