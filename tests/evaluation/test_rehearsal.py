"""Patients in the disguise of another cohort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.evaluation.rehearsal import LEAST_COHERENCE, Rehearsal, _mean_square_correlation

GENES = 60


def tumours(n: int, noise: float, seed: int, loadings: np.ndarray | None = None) -> np.ndarray:
    """Four causes move the genes, and each gene has noise of its own beside a variance of 1."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(0).normal(size=(4, GENES)) if loadings is None else loadings
    common = rng.normal(size=(n, 4)) @ (weights / np.linalg.norm(weights, axis=0))
    return (6 + common + noise * rng.normal(size=common.shape)).astype(np.float32)


@given(n=st.integers(8, 40), genes=st.integers(2, 30), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=25)
def test_mean_square_correlation_against_numpy(n: int, genes: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, genes)).astype(np.float32)
    table = np.corrcoef(x.astype(np.float64), rowvar=False)
    expected = (table[np.triu_indices(genes, 1)] ** 2).mean() - 1 / (n - 1)
    assert _mean_square_correlation(x) == pytest.approx(expected, abs=1e-6)


def test_genes_that_are_all_constant_have_none() -> None:
    assert _mean_square_correlation(np.ones((12, 5), np.float32)) == 0
    flat = Rehearsal.fit(np.ones((12, 5), np.float32), tumours(20, 1, 0)[:, :5])
    assert flat.coherence == 1
    assert np.isfinite(flat.disguise(np.ones((12, 5), np.float32), 0)).all()


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_coherence_is_the_share_of_variance_that_noise_leaves(noise: float) -> None:
    """Training has correlations r, the target r / (1 + noise²)."""
    found = Rehearsal.fit(tumours(2000, 0, 1), tumours(2000, noise, 2))
    assert found.coherence == pytest.approx(1 / (1 + noise**2), rel=0.1)


def test_no_more_coherent_than_training_and_never_nothing() -> None:
    assert Rehearsal.fit(tumours(300, 2, 1), tumours(300, 0, 2)).coherence == 1
    assert Rehearsal.fit(tumours(300, 0, 1), tumours(12, 9, 2)).coherence >= LEAST_COHERENCE


def test_disguised_patients_look_like_the_target_and_are_still_themselves() -> None:
    train = tumours(400, 0.2, 1)
    target = 0.5 * tumours(500, 1.0, 2) + np.random.default_rng(9).normal(0, 2, GENES).astype(np.float32)
    rehearsal = Rehearsal.fit(train, target)
    patients = tumours(501, 0.2, 3)
    disguised = rehearsal.disguise(patients, 7)
    shares = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(disguised, shares, axis=0), np.quantile(target, shares, axis=0), atol=0.1)
    ratio = _mean_square_correlation(disguised) / _mean_square_correlation(target)
    assert ratio == pytest.approx(1, abs=0.25)
    own = [np.corrcoef(disguised[:, gene], patients[:, gene])[0, 1] for gene in range(GENES)]
    assert np.mean(own) == pytest.approx(np.sqrt(rehearsal.coherence), abs=0.05)
    np.testing.assert_array_equal(disguised, rehearsal.disguise(patients, 7))
    assert not np.array_equal(disguised, rehearsal.disguise(patients, 8))
