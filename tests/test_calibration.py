import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from aio_tune.calibration import calibration_bins


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
