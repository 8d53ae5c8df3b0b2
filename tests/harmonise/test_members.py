"""Each harmoniser against the same computed in another way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from aio_tune import scaling
from aio_tune.harmonise import HARMONISERS
from aio_tune.harmonise.cohort_zscore import SD_FLOOR
from aio_tune.harmonise.denoise import CLIP, NOISE, UNIT
from aio_tune.harmonise.fsqn import POINTS
from aio_tune.harmonise.rank import TOP
from aio_tune.scaling import ZScore
from tests.harmonise.test_contract import expression

COUNTS = st.lists(st.integers(0, 5), min_size=2, max_size=30)


def test_none_is_the_same_array() -> None:
    x = expression(3, 4)
    assert HARMONISERS["none"].fit(x).transform(x) is x


@given(COUNTS)
@settings(deadline=None)
def test_rank_against_scipy(values: list[int]) -> None:
    x = np.array([values], dtype=np.float32)
    expected = (rankdata(values) - 1) / (len(values) - 1) * TOP
    np.testing.assert_allclose(HARMONISERS["rank"].fit(x).transform(x)[0], expected, atol=1e-6)


def test_rank_does_not_see_another_platforms_scale() -> None:
    x = expression(5, 40)
    fitted = HARMONISERS["rank"].fit(x)
    np.testing.assert_array_equal(fitted.transform(x), fitted.transform(np.exp(x / 2)))
    assert fitted.transform(x[:, :1]).tolist() == [[TOP / 2]] * 5


def test_quantile_by_hand() -> None:
    """The example of Bolstad's method that textbooks have: four genes, three samples."""
    samples = np.array([[5, 2, 3, 4], [4, 1, 4, 2], [3, 4, 6, 8]], dtype=np.float32)
    fitted = HARMONISERS["quantile"].fit(samples)
    np.testing.assert_allclose(fitted.distribution, [2, 3, 14 / 3, 17 / 3], atol=1e-6)
    tied = (14 / 3 + 17 / 3) / 2
    expected = [[17 / 3, 2, 3, 14 / 3], [tied, 2, tied, 3], [2, 3, 14 / 3, 17 / 3]]
    np.testing.assert_allclose(fitted.transform(samples), expected, atol=1e-6)


@given(values=COUNTS, seed=st.integers(0, 100))
@settings(deadline=None)
def test_quantile_against_numpy_and_scipy(values: list[int], seed: int) -> None:
    train = expression(6, len(values), seed)
    x = np.array([values], dtype=np.float32)
    reference = np.mean([sorted(row) for row in train.astype(np.float64)], axis=0)
    expected = np.quantile(reference, (rankdata(values) - 1) / (len(values) - 1))
    np.testing.assert_allclose(HARMONISERS["quantile"].fit(train).transform(x)[0], expected, atol=1e-5)


def test_quantile_gives_every_sample_the_same_distribution_and_keeps_its_order() -> None:
    x = np.random.default_rng(0).normal(5, 2, (9, 50)).astype(np.float32)  # no ties
    fitted = HARMONISERS["quantile"].fit(x[:6])
    drawn = fitted.transform(np.exp(x))
    for row, values in zip(drawn, x, strict=True):
        np.testing.assert_array_equal(np.sort(row), fitted.distribution)
        np.testing.assert_array_equal(np.argsort(row), np.argsort(values))


def test_denoise_is_the_wiener_filter() -> None:
    """Against C (C + NOISE)^-1 in double precision, C the genes' own covariance: nothing is cut off at 12 genes."""
    rng = np.random.default_rng(3)
    train = (rng.normal(size=(60, 3)) @ rng.normal(size=(3, 12)) + rng.normal(5, 0.4, (60, 12))).astype(np.float32)
    fitted = HARMONISERS["denoise"].fit(train)
    mean, sd = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    scores = np.clip((train - mean) / sd, -CLIP, CLIP)
    covariance = scores.T @ scores / len(scores)
    target = rng.normal(5, 3, (7, 12)).astype(np.float32)
    seen = np.clip((target - mean) / sd, -CLIP, CLIP)
    expected = UNIT * seen @ np.linalg.inv(covariance + NOISE * np.eye(12)) @ covariance
    np.testing.assert_allclose(fitted.transform(target), expected, atol=1e-6)


def test_denoise_of_many_genes_keeps_the_largest_components() -> None:
    """Against scikit-learn's exact components, of genes that three causes move."""
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(4)
    train = (rng.normal(size=(150, 3)) @ rng.normal(size=(3, 300)) + rng.normal(5, 0.5, (150, 300))).astype(np.float32)
    fitted = HARMONISERS["denoise"].fit(train)
    scores = np.clip((train - train.mean(axis=0)) / train.std(axis=0), -CLIP, CLIP).astype(np.float64)
    pca = PCA(3, svd_solver="full").fit(scores)
    overlap = np.abs(np.sum(pca.components_ * fitted.state()["components"][:3], axis=1))
    np.testing.assert_allclose(overlap, 1, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(fitted.state()["components"], axis=1), 1, atol=1e-3)


def test_scaling_leaves_what_denoise_shrank() -> None:
    """Genes with little in common with the others stay small beside the others after z-scoring."""
    rng = np.random.default_rng(6)
    common = rng.normal(size=(90, 1)) * np.linspace(0, 1, 100)
    train = (8 + common + rng.normal(0, 0.5, (90, 100))).astype(np.float32)
    denoised = HARMONISERS["denoise"].fit(train).reference(train)
    scaled = ZScore.fit(denoised).transform(denoised)
    assert UNIT <= scaling.SD_FLOOR
    np.testing.assert_allclose(scaled, (denoised - denoised.mean(axis=0)) / scaling.SD_FLOOR, atol=1e-5)
    assert scaled[:, :10].std() < 0.5 * scaled[:, -10:].std()


def test_denoise_lets_one_lost_gene_change_little() -> None:
    rng = np.random.default_rng(5)
    train = (rng.normal(size=(80, 1)) + rng.normal(8, 0.5, (80, 200))).astype(np.float32)
    fitted = HARMONISERS["denoise"].fit(train)
    whole, lost = train[:5], train[:5].copy()
    lost[:, 17] = 0
    assert np.abs(lost - whole).max() > 5
    assert np.abs(fitted.transform(lost) - fitted.transform(whole)).max() < 0.1 * UNIT


def test_fsqn_by_hand() -> None:
    """Eleven target samples on five training values: the quantiles are at every 2.5 ranks."""
    train = np.array([[8], [0], [1], [4], [2]], dtype=np.float32)
    target = np.arange(100, 111, dtype=np.float32)[::-1, np.newaxis]
    expected = np.array([0, 0.4, 0.8, 1.2, 1.6, 2, 2.8, 3.6, 4.8, 6.4, 8])[::-1, np.newaxis]
    np.testing.assert_allclose(HARMONISERS["fsqn"].fit(train).transform(target), expected, atol=1e-6)


@given(n=st.integers(2, 40), batch=st.integers(10, 40), seed=st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_fsqn_against_numpy_and_scipy(n: int, batch: int, seed: int) -> None:
    train = expression(n, 6, seed)
    target = np.round(expression(batch, 6, seed + 1, shift=1), 1)  # ties
    drawn = HARMONISERS["fsqn"].fit(train).transform(target)
    for gene in range(6):
        shares = (rankdata(target[:, gene]) - 1) / (batch - 1)
        np.testing.assert_allclose(drawn[:, gene], np.quantile(train[:, gene].astype(np.float64), shares), atol=1e-5)


def test_fsqn_gives_as_many_target_samples_the_training_values() -> None:
    random = np.random.default_rng(0)
    train, target = (random.normal(shift, 1, (25, 7)).astype(np.float32) for shift in (3, 8))
    fitted = HARMONISERS["fsqn"].fit(train)
    np.testing.assert_array_equal(np.sort(fitted.transform(target), axis=0), np.sort(train, axis=0))
    np.testing.assert_array_equal(fitted.transform(train), train)  # onto itself it changes nothing
    assert (fitted.transform(np.ones((11, 7), dtype=np.float32)) == np.median(train, axis=0)).all()


def test_fsqn_of_many_training_rows_keeps_few_quantiles() -> None:
    random = np.random.default_rng(0)
    train, target = (random.normal(5, 2, (n, 3)).astype(np.float32) for n in (2000, 60))
    fitted = HARMONISERS["fsqn"].fit(train)
    levels = np.linspace(0, 1, POINTS)
    assert fitted.quantiles.shape == (POINTS, 3)
    np.testing.assert_allclose(fitted.quantiles, np.quantile(train.astype(np.float64), levels, axis=0), atol=1e-5)
    shares = (rankdata(target, axis=0) - 1) / 59
    exact = np.stack([np.quantile(train[:, gene], shares[:, gene]) for gene in range(3)], axis=1)
    np.testing.assert_allclose(fitted.transform(target), exact, atol=0.05)  # of a spread of 2


def test_cohort_zscore_against_scikit_learn() -> None:
    from sklearn.preprocessing import StandardScaler

    train, target = expression(30, 20), expression(15, 20, seed=1, scale=2, shift=3)
    fitted = HARMONISERS["cohort_zscore"].fit(train)
    for drawn, x in ((fitted.reference(train), train), (fitted.transform(target), target)):
        np.testing.assert_allclose(drawn, StandardScaler().fit_transform(x.astype(np.float64)), atol=1e-4)


def test_cohort_zscore_does_not_blow_up_genes_that_hardly_vary() -> None:
    x = np.ones((12, 2), dtype=np.float32)
    x[0, 1] += 1e-4
    fitted = HARMONISERS["cohort_zscore"].fit(x)
    assert np.abs(fitted.transform(x)).max() <= 1.01e-4 / SD_FLOOR
    assert np.abs(fitted.reference(x)).max() <= 1.01e-4 / SD_FLOOR


def cohorts_for_combat() -> tuple[np.ndarray, np.ndarray]:
    """Twelve training rows and ten of a target, six genes, written as sums so that anybody can have them again."""
    train = np.arange(72).reshape(12, 6) * 37 % 23 / 4 + np.arange(6)
    target = np.arange(60).reshape(10, 6) * 29 % 19 / 3 + np.arange(6)[::-1] * 0.5 + 1
    return train.astype(np.float32), target.astype(np.float32)


def test_combat_against_another_implementation() -> None:
    """The first rows that neuroCombat 0.2.12 (MIT) gives for these cohorts with the training rows as ``ref_batch``.

    inmoose 0.9.1 gives 0.6871, 4.1110, 2.9087, ... for the first, since the moments of its priors have ddof 0; with
    ddof 0 here the two agree to all of its digits.
    """
    train, target = cohorts_for_combat()
    expected = [
        [0.77887, 4.09827, 2.99353, 5.85419, 4.68107, 8.00535],
        [1.65240, 4.96501, 3.86794, 6.72231, 5.55883, 8.87643],
        [2.52593, 5.83175, 4.74236, 7.59043, 6.43658, 9.74750],
    ]
    fitted = HARMONISERS["combat"].fit(train)
    np.testing.assert_allclose(fitted.transform(target)[:3], expected, atol=2e-5)
    assert fitted.reference(train) is train


def combat_gene_by_gene(train: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The equations of Johnson et al. 2007 as they stand, one gene and one number at a time."""
    n, genes = target.shape
    mean = [float(np.mean(train[:, g], dtype=np.float64)) for g in range(genes)]
    sd = [float(np.std(train[:, g], dtype=np.float64)) for g in range(genes)]
    z = [[(float(target[i, g]) - mean[g]) / sd[g] for i in range(n)] for g in range(genes)]
    gamma_hat = [sum(z[g]) / n for g in range(genes)]
    delta_hat = [sum((v - gamma_hat[g]) ** 2 for v in z[g]) / (n - 1) for g in range(genes)]
    gamma_bar = sum(gamma_hat) / genes
    tau2 = sum((g - gamma_bar) ** 2 for g in gamma_hat) / (genes - 1)
    v_bar = sum(delta_hat) / genes
    s2 = sum((d - v_bar) ** 2 for d in delta_hat) / (genes - 1)
    lambda_bar, theta_bar = (v_bar**2 + 2 * s2) / s2, (v_bar**3 + v_bar * s2) / s2
    adjusted = np.empty(target.shape)
    for g in range(genes):
        gamma, delta = gamma_hat[g], delta_hat[g]
        for _ in range(500):
            gamma = (n * tau2 * gamma_hat[g] + delta * gamma_bar) / (n * tau2 + delta)
            delta = (theta_bar + sum((v - gamma) ** 2 for v in z[g]) / 2) / (n / 2 + lambda_bar - 1)
        adjusted[:, g] = [(v - gamma) / delta**0.5 * sd[g] + mean[g] for v in z[g]]
    return adjusted


@given(seed=st.integers(0, 1000), n_genes=st.integers(2, 12), scale=st.floats(0.2, 3), shift=st.floats(0, 4))
@settings(max_examples=10, deadline=None)
def test_combat_against_the_equations(seed: int, n_genes: int, scale: float, shift: float) -> None:
    random = np.random.default_rng(seed)
    train = random.normal(4, 1, (20, n_genes)).astype(np.float32)
    target = random.normal(4 + shift, scale, (12, n_genes)).astype(np.float32)
    drawn = HARMONISERS["combat"].fit(train).transform(target)
    np.testing.assert_allclose(drawn, combat_gene_by_gene(train, target), atol=2e-4)


def test_combat_shrinks_towards_all_genes() -> None:
    """Genes of one true shift and spread, so that what their own means and variances differ by is chance."""
    random = np.random.default_rng(0)
    train = random.normal(5, 1, (200, 400)).astype(np.float32)
    target = (random.normal(5, 1, (10, 400)) * 1.5 + 2).astype(np.float32)
    drawn = HARMONISERS["combat"].fit(train).transform(target)
    assert abs(drawn.mean() - train.mean()) < 0.02
    assert abs(drawn.std(axis=0).mean() - train.std(axis=0).mean()) < 0.1
    # Half of it stays: prior and likelihood are equally wide. Plain centring would take all of it away.
    chance = target.mean(axis=0).std() / 1.5
    assert 0.4 < (drawn.mean(axis=0) - train.mean(axis=0)).std() / chance < 0.6


def test_combat_of_one_gene_and_of_genes_that_spread_alike() -> None:
    random = np.random.default_rng(0)
    train = random.normal(5, 1, (30, 1)).astype(np.float32)
    target = random.normal(7, 2, (12, 1)).astype(np.float32)
    drawn = HARMONISERS["combat"].fit(train).transform(target)
    assert drawn.mean() == pytest.approx(train.mean(), abs=1e-5)
    assert drawn.std(ddof=1) == pytest.approx(train.std(), abs=1e-5)
    twice = HARMONISERS["combat"].fit(np.repeat(train, 2, axis=1)).transform(np.repeat(target, 2, axis=1))
    np.testing.assert_allclose(twice, np.repeat(drawn, 2, axis=1), atol=1e-5)
