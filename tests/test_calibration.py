import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from aio_tune.calibration import ERRORS, NO_CALL, brier, calibration_bins, fit_calibration


@pytest.mark.parametrize("bins", [2, 5, 10])
def test_as_scikit_learn(bins: int) -> None:
    rng = np.random.default_rng(bins)
    probability = rng.beta(0.4, 0.4, 300)
    truth = (rng.random(300) < probability**2).astype(int)
    mean, share, count = calibration_bins(truth, probability, bins)
    expected_share, expected_mean = calibration_curve(truth, probability, n_bins=bins)
    np.testing.assert_allclose(share, expected_share)
    np.testing.assert_allclose(mean, expected_mean)
    assert count.sum() == 300


def test_ends_and_edges_by_hand() -> None:
    mean, share, count = calibration_bins(np.array([0, 1, 1, 0]), np.array([0.0, 0.5, 0.51, 1.0]), bins=2)
    assert (mean.tolist(), share.tolist(), count.tolist()) == ([0.25, 0.755], [0.5, 0.5], [2, 2])


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        calibration_bins(np.array([0, 1]), np.array([0.1, np.nan]))
    with pytest.raises(ValueError, match="one probability per sample"):
        calibration_bins(np.array([0, 1]), np.array([0.1]))


def sure(rng: np.random.Generator, n: int, n_classes: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from honest probabilities, and these made too sure by a temperature."""
    logs = rng.normal(0, 1.5, (n, n_classes))
    honest = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(n_classes, p=row) for row in honest])
    stated = np.exp(logs * temperature)
    return truth, stated / stated.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(n_classes: int, temperature: float) -> None:
    truth, stated = sure(np.random.default_rng(n_classes), 4000, n_classes, temperature)
    found = fit_calibration(truth, stated)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    calibrated = found.calibrate(stated)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    assert brier(truth, calibrated) <= brier(truth, stated) + 1e-3
    assert (calibrated.argmax(axis=1) == stated.argmax(axis=1)).all(), "calls stay as they are"


@pytest.mark.parametrize("error", ERRORS)
def test_sets_hold_the_truth_as_often_as_promised(error: float) -> None:
    rng = np.random.default_rng(0)
    found = fit_calibration(*sure(rng, 1000, 3, 2.0))
    truth, stated = sure(rng, 4000, 3, 2.0)
    held = found.in_set(stated, error)[np.arange(4000), truth].mean()
    assert held == pytest.approx(1 - error, abs=0.02)
    decided = found.decide(stated, error)
    alone = decided != NO_CALL
    assert 0 < alone.mean() < 1
    assert (decided[alone] == stated[alone].argmax(axis=1)).all()
    assert (decided[alone] == truth[alone]).mean() > (stated.argmax(axis=1) == truth).mean()


def test_thresholds_by_hand() -> None:
    """Nine samples: the first of ten ranks is the tenth's, rank 2 the fifth's; a twentieth has none."""
    p = np.arange(1, 10) / 10
    found = fit_calibration(np.ones(9, int), np.column_stack([1 - p, p]))
    calibrated = np.sort(found.calibrate(np.column_stack([1 - p, p]))[:, 1])
    assert found.thresholds == {0.05: 0.0, 0.1: calibrated[0], 0.2: calibrated[1]}
    assert found.in_set(np.array([[1.0, 0.0]]), 0.05).all(), "too few samples to rule anything out"


@pytest.mark.parametrize("n_classes", [2, 3])
def test_brier_as_scikit_learn(n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    p = rng.dirichlet(np.ones(n_classes), 50)
    truth = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=50 - n_classes)])
    expected = brier_score_loss(truth, p[:, 1] if n_classes == 2 else p)
    assert brier(truth, p) == pytest.approx(expected)


def test_a_network_that_is_wrong_and_certain() -> None:
    found = fit_calibration(np.array([0, 1, 1]), np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]))
    assert np.isfinite(found.temperature)
    assert np.isfinite(found.calibrate(np.array([[0.0, 1.0]]))).all()
