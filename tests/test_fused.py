"""TensorFlow's fused kernels beside what Keras makes of elementary operations."""

from typing import Any

import keras
import numpy as np
import pytest

from aio_tune.models import build
from aio_tune.training.fused import (
    FusedBatchNormalization,
    epoch_function,
    predict_function,
    with_fused_layers,
    with_fused_update,
)

tf = pytest.importorskip("tensorflow")
SHAPE = (8, 8, 2)


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 5, 3), (6, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_is_that_of_keras(shape: tuple[int, ...], training: bool) -> None:
    random = np.random.default_rng(0)
    x, weight = (tf.constant(random.normal(2, 3, shape), tf.float32) for _ in range(2))
    values = random.uniform(0.5, 2, (4, shape[-1])).astype(np.float32)
    seen = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(epsilon=1e-5, momentum=0.7)
        layer.build(shape)
        for variable, value in zip(layer.variables, values, strict=True):
            variable.assign(value)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * weight)
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        seen.append([np.array(part) for part in (y, *gradients, *layer.variables)])
    for ours, theirs in zip(seen[1], seen[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)
    moved = np.abs(seen[1][-1] - values[-1]).max()
    assert (moved > 0) == training


@pytest.mark.parametrize(
    "make", [keras.optimizers.Adam, lambda **kwargs: keras.optimizers.AdamW(weight_decay=0.1, **kwargs)]
)
def test_the_optimizer_s_steps_are_those_of_keras(make: Any) -> None:
    random = np.random.default_rng(0)
    start = random.normal(size=(5, 4)).astype(np.float32)
    gradients = random.normal(size=(6, 5, 4)).astype(np.float32)
    optimizers = [make(learning_rate=0.01, epsilon=1e-4), with_fused_update(make(learning_rate=0.01, epsilon=1e-4))]
    assert type(optimizers[1]) is not type(optimizers[0])
    assert isinstance(optimizers[1], type(optimizers[0]))
    ends = []
    for optimizer in optimizers:
        variable = keras.Variable(start)
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)])
        ends.append([np.array(part) for part in (variable, *optimizer.variables)])
    for ours, theirs in zip(ends[1], ends[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert np.abs(ends[1][0] - start).max() > 0.01


def test_an_optimizer_without_a_kernel_stays_what_it_is() -> None:
    optimizer = keras.optimizers.SGD()
    assert with_fused_update(optimizer) is optimizer


def test_the_network_has_the_same_variables_in_the_same_order() -> None:
    plain = build({"filters": 2, "depth": 1, "embedding_width": 3, "fc_widths": (4,)}, SHAPE, 3, seed=0)
    fused = with_fused_layers(plain)
    assert sum(type(layer) is FusedBatchNormalization for layer in fused.layers) == 4
    # Random states are counted through the process; their names say no more.
    assert [(v.path.split("/")[-1], v.shape, v.trainable) for v in fused.variables] == [
        (v.path.split("/")[-1], v.shape, v.trainable) for v in plain.variables
    ]
    assert [v.path for v in fused.trainable_variables] == [v.path for v in plain.trainable_variables]
    assert [layer.name for layer in fused.layers] == [layer.name for layer in plain.layers]


def test_a_step_of_the_whole_network_is_the_same_step() -> None:
    """With an epsilon for which Adam does not make steps of rounding."""
    plain = build(
        {"filters": 2, "depth": 2, "embedding_width": 3, "fc_widths": (4,), "input_dropout": 0.0}, SHAPE, 3, 0
    )
    fused = with_fused_layers(plain)
    fused.set_weights(plain.get_weights())
    optimizers = [keras.optimizers.Adam(1e-2, epsilon=1e-3) for _ in range(2)]
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, *SHAPE)).astype(np.float32), np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    losses = []
    before = plain.get_weights()
    for model, optimizer in ((plain, optimizers[0]), (fused, with_fused_update(optimizers[1]))):
        model.compile(optimizer=optimizer, loss="categorical_crossentropy", jit_compile=False)
        losses.append([float(model.train_on_batch(x, y)) for _ in range(3)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for name, ours, theirs, was in zip(
        (v.path for v in plain.weights), fused.get_weights(), plain.get_weights(), before, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-5, err_msg=name)
        assert "kernel" not in name or np.abs(theirs - was).max() > 1e-3, name


@pytest.mark.parametrize("outputs", [1, 2])
def test_an_epoch_in_one_call_is_keras_step_after_step(outputs: int) -> None:
    """With dropout, whose random states are variables of the network, and with weights of the rows."""
    pictures = keras.Input(SHAPE)
    hidden = keras.layers.Dropout(0.3, seed=1)(keras.layers.Flatten()(pictures))
    heads = [keras.layers.Dense(3, "softmax", kernel_regularizer="l2")(hidden) for _ in range(outputs)]
    models = [keras.Model(pictures, heads if outputs > 1 else heads[0])]
    models.append(keras.models.clone_model(models[0]))
    models[1].set_weights(models[0].get_weights())
    for model in models:
        losses = ["categorical_crossentropy"] * outputs
        model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=losses if outputs > 1 else losses[0])
        model.optimizer.build(model.trainable_variables)
    random = np.random.default_rng(0)
    x = random.normal(size=(20, *SHAPE)).astype(np.float32)
    y = [np.eye(3, dtype=np.float32)[random.integers(3, size=20)] for _ in range(outputs)]
    w = [random.uniform(0, 2, 20).astype(np.float32) for _ in range(outputs)]
    epoch = epoch_function(models[1])
    for size in (5, 4, 5):
        order = random.permutation(20).reshape(-1, size)
        theirs = []
        for rows in order:
            answers = [part[rows] for part in y], [part[rows] for part in w]
            loss = models[0].train_on_batch(x[rows], *(answers if outputs > 1 else (one[0] for one in answers)))
            theirs.append(loss[0] if outputs > 1 else loss)
        np.testing.assert_allclose(epoch(x, y, w, order), theirs, rtol=1e-5)
    for ours, keras_own in zip(models[1].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_allclose(ours, keras_own, atol=1e-5)
    # Of several outputs Keras makes the metrics within the first trace, and TensorFlow then traces once more.
    assert epoch.experimental_get_tracing_count() == outputs
    if outputs == 1:
        answer = predict_function(models[1])
        for rows in (slice(20), slice(7)):
            np.testing.assert_allclose(answer(x[rows]), models[0].predict_on_batch(x[rows]), atol=1e-5)
        assert answer.experimental_get_tracing_count() == 1


def test_an_epoch_ends_with_the_first_loss_that_is_not_finite() -> None:
    pictures = keras.Input(SHAPE)
    model = keras.Model(pictures, keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(pictures)))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="categorical_crossentropy")
    x, y = np.ones((12, *SHAPE), np.float32), np.eye(2, dtype=np.float32)[np.zeros(12, int)]
    x[5] = np.nan
    losses = np.asarray(epoch_function(model)(x, [y], [np.ones(12, np.float32)], np.arange(12).reshape(4, 3)))
    assert np.isfinite(losses).tolist() == [True, False, True, True]
    assert losses[2:].tolist() == [0, 0]
    assert model.optimizer.iterations == 2
