"""Layers, penalties and optimizers in few kernels, and an epoch in one call, for Keras' TensorFlow backend alone.

Keras 3 writes them out of elementary operations, which run through memory again and again: of a step of the default
network at 64 x 64 x 4 on one core, batch normalisation took a third and Adam an eighth; of one of the embedding alone
RMSprop, dropout of the genes and the penalty two thirds. TensorFlow has kernels that give the same within rounding, of
dropout the same in distribution. Variables and their order stay those of the layers and optimizers replaced, so a
fold's state and the model that is saved are what they would be without.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
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
        if not training or not self.rate:
            return inputs
        n, batch = math.prod(inputs.shape[1:]), tf.shape(inputs)[0]
        pairs = tf.random.stateless_uniform(
            [batch, (n + 1) // 2], self.seed_generator.next(), minval=None, maxval=None, dtype=tf.uint32
        )
        bits = tf.reshape(tf.bitcast(pairs, tf.uint16), [-1, n + n % 2])
        bits = tf.reshape(bits[:, :n] if n % 2 else bits, [-1, *inputs.shape[1:]])
        kept = bits >= np.uint16(round(self.rate * 2**16))
        return tf.where(kept, inputs * (1 / (1 - self.rate)), tf.zeros((), inputs.dtype))


class FusedL2(keras.regularizers.Regularizer):
    """``keras.regularizers.L2`` as one operation, and one of its gradient, where Keras takes two and three.

    Args:
        strength: what the sum of squares is multiplied with.
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength

    def __call__(self, x: Any) -> Any:
        return 2 * self._strength * tf.nn.l2_loss(x)


class _OneKernel(keras.optimizers.Adam):
    """Adam's update of a variable as one operation."""

    def apply(self, gradients: Any, variables: Any = None) -> None:
        # Once for all variables: tracing takes longer the more operations there are.
        step = tf.cast(self.iterations + 1, tf.float32)
        self._powers = [tf.pow(tf.constant(beta, tf.float32), step) for beta in (self.beta_1, self.beta_2)]
        super().apply(gradients, variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class FusedAdam(_OneKernel):
    """``keras.optimizers.Adam``."""


class FusedAdamW(_OneKernel, keras.optimizers.AdamW):
    """``keras.optimizers.AdamW``, whose decay comes before the update."""


class FusedRMSprop(keras.optimizers.RMSprop):
    """``keras.optimizers.RMSprop``, not centered, with the update of a variable as one operation."""

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        # Where there is no momentum the kernel still wants to write it down. Nothing depends on it, so it is no part
        # of the optimizer's state.
        self._steps = [] if self.momentum else [tf.Variable(tf.zeros_like(v.value), trainable=False) for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        step = self._momentums[place].value if self.momentum else self._steps[place]
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=self._velocities[place].value.handle,
            mom=step.handle,
            lr=learning_rate,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
            grad=gradient,
        )


def with_fused_layers(model: keras.Model) -> keras.Model:
    """The same network in kernels of this module where there are some; its weights, not drawn, are yet to be set."""

    def clone(layer: Any) -> Any:
        penalty, config = getattr(layer, "kernel_regularizer", None), layer.get_config()
        if "kernel_initializer" in config:
            config["kernel_initializer"] = "zeros"
        copy = _kind(layer).from_config(config)
        if isinstance(penalty, keras.regularizers.L2 | keras.regularizers.L1L2) and not getattr(penalty, "l1", 0):
            copy.kernel_regularizer = FusedL2(float(penalty.l2)) if penalty.l2 else None
        return copy

    return keras.models.clone_model(model, clone_function=clone)


def with_fused_update(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimizer, not built; itself if there is no kernel for it."""
    kinds: dict[type, Any] = {
        keras.optimizers.Adam: FusedAdam,
        keras.optimizers.AdamW: FusedAdamW,
        keras.optimizers.RMSprop: FusedRMSprop,
    }
    kind = kinds.get(type(optimizer))
    if kind is None or getattr(optimizer, "centered", False):
        return optimizer
    return kind.from_config(optimizer.get_config())


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


def _kind(layer: Any) -> Any:
    """What takes a layer's place."""
    if type(layer) is keras.layers.Dropout and layer.noise_shape is None and None not in layer.input.shape[1:]:
        return FusedDropout
    return FusedBatchNormalization if _normalises_as_the_kernel(layer) else type(layer)


def _normalises_as_the_kernel(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, layer.input.ndim - 1)
        and layer.scale
        and layer.center
        and not layer.renorm
    )
