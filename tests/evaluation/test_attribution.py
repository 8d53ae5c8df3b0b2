"""The methods of attribution, against what can be worked out by hand."""

import numpy as np
import pytest

from aio_tune.errors import EvaluationError
from aio_tune.evaluation.attribution import METHODS, Sight, grad_cam, integrated_gradients, occlusion
from aio_tune.evaluation.attribution import gradients as attribution_gradients
from aio_tune.evaluation.attribution.backend import gradients
from aio_tune.evaluation.attribution.gradcam import enlarge
from aio_tune.evaluation.attribution.gradients import MOST_POINTS, completeness
from aio_tune.evaluation.attribution.occlusion import areas
from aio_tune.evaluation.attribution.pixels import baseline, to_columns, value_channels
from aio_tune.evaluation.attribution.scores import log_odds, score_of, values_of
from aio_tune.layout import LAYOUTS
from aio_tune.models import build
from aio_tune.preprocess import Preprocessor
from tests.evaluation.linear_networks import linear_network, reading, sight_of
from tests.models.small import GENES, TINY, samples
from tests.models.small_omics import KINDS, omics_samples

SMALL = {name: value for name, value in TINY.items() if name not in ("learning_rate", "batch_size")}


@pytest.fixture(scope="module")
def preprocessor():
    return Preprocessor.fit("zscore", "square", samples()[0], seed=0)


def by_hand(sight, weights, of, against):
    """A linear network's attribution: weight times the difference from the baseline."""
    return (weights[..., of] - weights[..., against]) * (sight.pictures - sight.baseline)


def test_integrated_gradients_of_a_linear_network_are_exact(preprocessor):
    weights = np.random.default_rng(0).normal(size=(5, 5, 1, 2)).astype(np.float32)
    sight = sight_of(linear_network(weights, [0.5, -1.0]), preprocessor, samples()[0])
    for classes, of, against in ([1], 1, 0), ([0], 0, 1):
        found = integrated_gradients(sight, classes, steps=1)
        np.testing.assert_allclose(found.pixels[0], by_hand(sight, weights, of, against), rtol=1e-4, atol=1e-5)
        assert found.completeness.max() < 1e-3
    both = integrated_gradients(sight, [1, 0])
    np.testing.assert_allclose(both.pixels[0], -both.pixels[1], atol=1e-5)


def network_of_kinks(kernel, bias, weights):
    """Softmax of weighted ReLUs of the pixels; only the second class has a logit. ``kernel`` is (pixels, ReLUs)."""
    import keras

    picture = keras.Input((len(kernel), 1))
    hidden = keras.layers.Dense(len(bias), activation="relu")
    calls = keras.layers.Dense(2, activation="softmax", use_bias=False)
    model = keras.Model(picture, calls(hidden(keras.layers.Flatten()(picture))))
    hidden.set_weights([kernel, bias])
    calls.set_weights([np.stack([np.zeros_like(weights), weights], axis=1)])
    return model


@pytest.fixture
def taken(monkeypatch):
    """How many gradients integrated gradients asked for, call by call."""
    sizes = []

    def counted(score, x, classes):
        sizes.append(len(x))
        return gradients(score, x, classes)

    monkeypatch.setattr(attribution_gradients, "gradients", counted)
    return sizes


@pytest.mark.parametrize("change", [30.0, 0.3, 0.005])
def test_integrated_gradients_of_kinks_by_hand(change, taken):
    """Each ReLU counts where it is on, a share of the line that is known: also where the score hardly changes."""
    random = np.random.default_rng(4)
    kernel = random.normal(size=(6, 40)).astype(np.float32)
    end = random.normal(size=6).astype(np.float32)
    slopes = end @ kernel  # of each ReLU's input on the line from 0
    kinks = random.uniform(0.05, 0.95, 40)
    bias = (-slopes * kinks).astype(np.float32)
    on = np.where(slopes > 0, 1 - kinks, kinks)
    rises = on * slopes
    weights = random.normal(scale=3, size=40)
    weights += (change - weights @ rises) * rises / (rises @ rises)
    expected = end * (kernel @ (weights * on))

    model = network_of_kinks(kernel, bias, weights.astype(np.float32))
    preprocessor = Preprocessor.fit("zscore", "1d", random.normal(size=(9, 6)), seed=0)
    sight = Sight(model, preprocessor, end.reshape(1, 6, 1), np.zeros((1, 6, 1), np.float32))
    found = integrated_gradients(sight, [1])
    assert found.pixels[0].sum() == pytest.approx(change, rel=0.01)
    assert found.completeness[0, 0] < 0.01
    assert sum(taken) <= MOST_POINTS
    np.testing.assert_allclose(found.pixels[0].ravel(), expected, atol=0.02 * np.abs(expected).max())


def test_no_more_gradients_than_asked_for(taken):
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(4, 400)).astype(np.float32), random.normal(size=400).astype(np.float32)
    model = network_of_kinks(kernel, bias, random.normal(size=400).astype(np.float32))
    preprocessor = Preprocessor.fit("zscore", "1d", random.normal(size=(9, 4)), seed=0)
    sight = Sight(
        model, preprocessor, random.normal(size=(1, 4, 1)).astype(np.float32), np.zeros((1, 4, 1), np.float32)
    )
    for steps, most, expected in (5, 20, 19), (5, 21, 21), (5, 3, 5):
        taken.clear()
        integrated_gradients(sight, [1], steps=steps, most_points=most, tolerance=0)
        assert sum(taken) == expected


def test_score_is_the_log_odds_of_the_probability():
    weights = np.random.default_rng(1).normal(size=(3, 3, 1, 3)).astype(np.float32)
    model = linear_network(weights, [0.1, 0.2, -0.3])
    x = np.random.default_rng(2).normal(size=(300, 3, 3, 1)).astype(np.float32)  # more than one batch
    p = np.asarray(model(x)).astype(np.float64)
    np.testing.assert_allclose(values_of(score_of(model), x), np.log(p / (1 - p)), rtol=1e-3, atol=1e-4)


def test_score_does_not_saturate_where_the_probability_does():
    weights = np.zeros((1, 1, 1, 2), np.float32)
    weights[..., 1] = 200
    x = np.ones((1, 1, 1, 1), np.float32)
    assert values_of(score_of(linear_network(weights)), x).tolist() == [[-200.0, 200.0]]


def test_network_that_ends_otherwise_is_scored_by_its_probabilities():
    import keras

    picture = keras.Input((2, 2, 1))
    logits = keras.layers.Dense(2, kernel_initializer="ones")(keras.layers.Flatten()(picture))
    model = keras.Model(picture, keras.layers.Softmax()(logits * np.array([0.0, 1.0], np.float32)))
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1) / 10
    expected = x.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(values_of(score_of(model), x)[:, 1], expected, rtol=1e-4)


def test_log_odds_of_three_classes_by_hand():
    found = np.asarray(log_odds(np.log(np.array([[0.2, 0.3, 0.5]], np.float32))))
    np.testing.assert_allclose(found, np.log([[0.2 / 0.8, 0.3 / 0.7, 1.0]]), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def trained(preprocessor):
    import keras

    x, labels = samples(120)
    wide = {**SMALL, "filters": 4, "embedding_width": 8, "fc_widths": (16, 16)}
    model = build(wide, preprocessor.shape, 2, seed=0)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    history = model.fit(preprocessor.transform(x), labels, epochs=15, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < 0.8 * history.history["loss"][0]
    return sight_of(model, preprocessor, x[:30])


@pytest.mark.slow
def test_integrated_gradients_of_a_trained_network_are_complete(trained):
    found = integrated_gradients(trained, [1])
    score = score_of(trained.model)
    change = (values_of(score, trained.pictures) - values_of(score, trained.baseline))[:, 1]
    sums = found.pixels[0].sum(axis=(1, 2, 3))
    assert np.abs(sums - change).max() < 0.01 * np.abs(change).max()
    np.testing.assert_allclose(found.completeness[0], np.abs(sums - change) / np.abs(change), atol=1e-3)
    assert found.completeness.max() < 0.01
    # One step is not enough, or the refinement would not have been looked at.
    assert integrated_gradients(trained, [1], steps=1, most_points=1).completeness.max() > 0.01


@pytest.mark.slow
def test_occlusion_and_integrated_gradients_agree_on_a_trained_network(trained):
    a, b = (METHODS[name](trained, [1]).pixels.ravel() for name in ("integrated-gradients", "occlusion"))
    assert np.corrcoef(a, b)[0, 1] > 0.7


def test_completeness_by_hand():
    pixels = np.array([[[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]]], np.float32)
    found = completeness(pixels, np.array([[4.0, 0.0, 0.0]]))
    assert found.tolist() == [[0.25, 0.0, np.inf]]


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion"])
@pytest.mark.parametrize("layout", [*LAYOUTS, "4x3x2", "7x7x1"])
def test_network_that_reads_one_gene_gives_it_everything(layout, method):
    x, _ = samples()
    preprocessor = Preprocessor.fit("zscore", layout, x, seed=3)
    for gene in (0, 7, GENES - 1):
        sight = sight_of(reading(preprocessor, {gene: 2.0}), preprocessor, x[:5])
        columns = to_columns(preprocessor, METHODS[method](sight, [1]).pixels[0])
        expected = np.zeros((5, GENES))
        expected[:, gene] = 2 * (x[:5, gene] - x[:, gene].mean()) / x[:, gene].std()
        means = 2 * (x[:5, gene].mean() - x[:, gene].mean()) / x[:, gene].std()
        expected[:, gene] -= means  # the baseline here is the mean of the five
        np.testing.assert_allclose(columns, expected, atol=1e-4)


def test_further_kinds_have_columns_and_masks_have_none():
    x, _ = omics_samples()
    preprocessor = Preprocessor.fit("zscore", "stacked", x, seed=0, kinds=KINDS)
    expression, methylation = value_channels(preprocessor)
    row, column, channel = preprocessor.layout.pixel_of(5)
    weights = np.zeros((*preprocessor.shape, 2), np.float32)
    weights[row, column, methylation.start + channel, 1] = 3.0
    weights[row, column, methylation.stop + channel, 1] = 100.0  # the mask of that gene
    sight = sight_of(linear_network(weights), preprocessor, x)
    assert (expression.stop, methylation.stop, preprocessor.shape[-1]) == (4, 8, 12)
    for method in (integrated_gradients, occlusion):
        found = method(sight, [1]).pixels[0]
        columns = to_columns(preprocessor, found)
        assert columns.shape == (len(x), 2 * GENES)
        assert set(np.flatnonzero(np.abs(columns).max(axis=0) > 1e-3)) == {GENES + 5}
        assert not found[..., methylation.stop :].any()
        missing = np.isnan(x[:, GENES + 5])
        assert missing.any() and not columns[missing].any()
        np.testing.assert_allclose(columns[:, GENES + 5], 3 * sight.pictures[:, row, column, 4 + channel], atol=1e-3)


def test_baseline_is_the_picture_of_the_mean_profile(preprocessor):
    x, _ = samples()
    pictures = preprocessor.transform(x[:3])
    found = baseline(preprocessor, x.mean(axis=0), pictures)
    assert found.shape == pictures.shape
    np.testing.assert_allclose(found, 0, atol=1e-5)  # z-scores of the training means
    shifted = baseline(preprocessor, x.mean(axis=0) + preprocessor.scaling.sd, pictures)
    np.testing.assert_allclose(preprocessor.layout.to_genes(shifted), 1, atol=1e-5)


def test_other_pictures_are_refused(preprocessor):
    with pytest.raises(ValueError, match=r"Expected shape \(n, 5, 5, 1\)\. Received \(2, 5, 4, 1\)"):
        to_columns(preprocessor, np.zeros((2, 5, 4, 1)))


def convolution(strides=1):
    """Two maps, ReLU(x) and ReLU(-2 x), averaged; the second class's log-odds are 3 and -1 times the averages."""
    import keras

    picture = keras.Input((4, 4, 1))
    convolve = keras.layers.Conv2D(2, 1, strides=strides, use_bias=False)
    maps = keras.layers.ReLU()(convolve(picture))
    dense = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(picture, dense(keras.layers.GlobalAveragePooling2D()(maps)))
    convolve.set_weights([np.array([[[[1.0, -2.0]]]])])
    dense.set_weights([np.array([[0.0, 3.0], [0.0, -1.0]]), np.zeros(2)])
    return model


def test_grad_cam_of_a_convolution_by_hand():
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
    preprocessor = Preprocessor.fit("zscore", "4x4x1", np.random.default_rng(0).normal(size=(9, 16)), seed=0)
    sight = Sight(convolution(), preprocessor, x, np.zeros_like(x))
    up, down = np.maximum(x, 0), np.maximum(-2 * x, 0)
    positive, negative = grad_cam(sight, [1, 0]).pixels
    np.testing.assert_allclose(positive, np.maximum(3 * up - 1 * down, 0) / 16, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(negative, np.maximum(-3 * up + 1 * down, 0) / 16, rtol=1e-4, atol=1e-7)
    assert positive.any() and negative.any()

    coarse = grad_cam(Sight(convolution(2), preprocessor, x, np.zeros_like(x)), [1]).pixels[0, ..., 0]
    maps = np.maximum(3 * up - 1 * down, 0)[:, ::2, ::2, 0] / 4
    np.testing.assert_allclose(coarse[:, 0, 0], maps[:, 0, 0], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(coarse[:, 3, 3], maps[:, 1, 1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(coarse[:, 0, 1], 0.75 * maps[:, 0, 0] + 0.25 * maps[:, 0, 1], rtol=1e-4, atol=1e-7)


def test_enlarging_by_hand():
    assert enlarge(np.array([[0.0, 1.0]]), (4,)).tolist() == [[0.0, 0.25, 0.75, 1.0]]
    found = enlarge(np.array([[[0.0, 1.0], [2.0, 3.0]]]), (2, 4))
    assert found.tolist() == [[[0.0, 0.25, 0.75, 1.0], [2.0, 2.25, 2.75, 3.0]]]
    assert enlarge(np.full((1, 3, 2), 7.0), (8, 5)).tolist() == np.full((1, 8, 5), 7.0).tolist()


@pytest.mark.parametrize("layout", ["square", "stacked", "1d"])
def test_grad_cam_of_our_networks_is_one_value_per_pixel(layout):
    x, _ = samples()
    preprocessor = Preprocessor.fit("zscore", layout, x, seed=0)
    sight = sight_of(build(SMALL, preprocessor.shape, 3, seed=1), preprocessor, x[:4])
    found = grad_cam(sight, [0, 1, 2]).pixels
    assert found.shape == (3, 4, *preprocessor.shape)
    assert found.any() and (found >= 0).all()
    assert (found == found[..., :1]).all()


def test_grad_cam_needs_a_convolution(preprocessor):
    model = build({**SMALL, "branches": "embedding"}, preprocessor.shape, 2, seed=0)
    with pytest.raises(EvaluationError, match="Expected a network with convolutions for Grad-CAM"):
        grad_cam(sight_of(model, preprocessor, samples()[0]), [1])


def test_occlusion_of_blocks_by_hand(preprocessor):
    weights = np.random.default_rng(0).normal(size=(5, 5, 1, 2)).astype(np.float32)
    sight = sight_of(linear_network(weights), preprocessor, samples()[0][:6])
    exact = by_hand(sight, weights, 1, 0)
    np.testing.assert_allclose(occlusion(sight, [1]).pixels[0], exact, rtol=1e-3, atol=1e-5)

    found = occlusion(sight, [1], most_blocks=4).pixels[0]  # blocks of 3 x 3, 3 x 2, 2 x 3 and 2 x 2
    for rows in (slice(0, 3), slice(3, 5)):
        for columns in (slice(0, 3), slice(3, 5)):
            block = (slice(None), rows, columns, 0)
            n_genes = found[0, rows, columns].size - (rows.stop == columns.stop == 5)  # the last pixel is padding
            expected = exact[block].sum(axis=(1, 2)) / n_genes
            np.testing.assert_allclose(found[block][:, 0, 0], expected, rtol=1e-3, atol=1e-5)
    assert not found[:, 4, 4].any()
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), exact.sum(axis=(1, 2, 3)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("sides", "most"), [((128, 128), 256), ((1000,), 256), ((7, 5), 1), ((7, 5), 35), ((3, 3), 5)])
def test_blocks_cover_every_pixel_once(sides, most):
    covered = np.zeros(sides)
    blocks = list(areas(sides, most))
    for area in blocks:
        covered[area] += 1
    assert (covered == 1).all() and len(blocks) <= most


def test_a_backend_without_known_gradients_is_refused(preprocessor, monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(EvaluationError, match=r"Expected Keras to run on tensorflow or jax.*Received torch"):
        integrated_gradients(sight_of(reading(preprocessor, {0: 1.0}), preprocessor, samples()[0]), [1])
