"""TensorFlow's fused kernels beside what Keras makes of elementary operations."""

from typing import Any

import keras
import numpy as np
import pytest

from aio_tune.models import build
from aio_tune.training.fused import (
    FusedBatchNormalization,
    FusedDropout,
    FusedL2,
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


@pytest.mark.parametrize("shape", [(400, 50), (200, 3, 11, 3)])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_leaves_out_its_share_and_no_pattern(shape: tuple[int, ...], rate: float) -> None:
    layer = FusedDropout(rate, seed=1)
    x = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
    np.testing.assert_array_equal(layer(x, training=False), x)
    ours = [np.asarray(layer(x, training=True)) for _ in range(2)]
    kept = [(part != 0).reshape(len(x), -1) for part in ours]
    for part, there in zip(ours, kept, strict=True):
        np.testing.assert_allclose(part.reshape(there.shape)[there], x.reshape(there.shape)[there] / (1 - rate), 1e-6)
        sd = (rate * (1 - rate) / there.size) ** 0.5
        assert there.mean() == pytest.approx(1 - rate, abs=5 * sd)
        # Halves of one 32-bit number, neighbours and rows have nothing to do with each other.
        for a, b in ((there[:, ::2], there[:, 1::2]), (there[:-1], there[1:])):
            width = min(a.shape[1], b.shape[1])
            together = (a[:, :width] & b[:, :width]).mean()
            assert together == pytest.approx((1 - rate) ** 2, abs=0.02)
    assert (kept[0] & kept[1]).mean() == pytest.approx((1 - rate) ** 2, abs=0.02)
    again = FusedDropout(rate, seed=1)
    np.testing.assert_array_equal(again(x, training=True), ours[0])


def test_what_dropout_leaves_out_has_no_gradient() -> None:
    layer, x = FusedDropout(0.3, seed=2), tf.ones((20, 7))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_allclose(tape.gradient(y, x), np.where(np.asarray(y) != 0, 1 / 0.7, 0), rtol=1e-6)


def test_the_penalty_is_that_of_keras() -> None:
    w = tf.constant(np.random.default_rng(0).normal(size=(30, 5)), tf.float32)
    seen = []
    for penalty in (FusedL2(0.03), keras.regularizers.L2(0.03)):
        with tf.GradientTape() as tape:
            tape.watch(w)
            loss = penalty(w)
        seen.append((float(loss), np.asarray(tape.gradient(loss, w))))
    assert seen[0][0] == pytest.approx(seen[1][0], rel=1e-6)
    np.testing.assert_allclose(seen[0][1], seen[1][1], rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        keras.optimizers.Adam,
        lambda **kwargs: keras.optimizers.AdamW(weight_decay=0.1, **kwargs),
        keras.optimizers.RMSprop,
        lambda **kwargs: keras.optimizers.RMSprop(momentum=0.9, **kwargs),
    ],
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
    for optimizer in (keras.optimizers.SGD(), keras.optimizers.RMSprop(centered=True)):
        assert with_fused_update(optimizer) is optimizer


def test_the_network_has_the_same_variables_in_the_same_order() -> None:
    params = {"filters": 2, "depth": 1, "embedding_width": 3, "fc_widths": (4,), "dropout": 0.2}
    plain = build({**params, "conv_l1": 0.1, "conv_l2": 0.1, "embedding_l2": 0.1}, SHAPE, 3, seed=0)
    fused = with_fused_layers(plain)
    assert sum(type(layer) is FusedBatchNormalization for layer in fused.layers) == 4
    assert sum(type(layer) is FusedDropout for layer in fused.layers) == 2
    assert type(fused.get_layer("embedding").kernel_regularizer) is FusedL2
    # Of a sum of absolute values there is no kernel.
    assert type(fused.get_layer("conv1a").kernel_regularizer) is keras.regularizers.L1L2
    # Random states are counted through the process; their names say no more.
    assert [(v.path.split("/")[-1], v.shape, v.trainable) for v in fused.variables] == [
        (v.path.split("/")[-1], v.shape, v.trainable) for v in plain.variables
    ]
    assert [v.path for v in fused.trainable_variables] == [v.path for v in plain.trainable_variables]
    assert [layer.name for layer in fused.layers] == [layer.name for layer in plain.layers]


def test_a_step_of_the_whole_network_is_the_same_step() -> None:
    """With an epsilon for which Adam does not make steps of rounding."""
    plain = build(
        {
            "filters": 2, "depth": 2, "embedding_width": 3, "fc_widths": (4,), "input_dropout": 0.0,
            "embedding_l2": 0.1, "conv_l2": 0.1,
        },
        SHAPE, 3, 0,
    )  # fmt: skip
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
