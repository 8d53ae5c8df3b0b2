import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_tune.paired import paired_difference


def test_by_hand() -> None:
    """Differences .1, .2, .3, .4 in 2 folds of 2 splits: mean .25, variance 1/60, error sqrt((1/4 + 1) / 60)."""
    found = paired_difference([0.6, 0.7, 0.8, 0.9], [0.5, 0.5, 0.5, 0.5], folds=2)
    error = math.sqrt(1.25 / 60)
    assert found.mean == pytest.approx(0.25)
    assert [found.low, found.high] == pytest.approx([0.25 - 3.182446 * error, 0.25 + 3.182446 * error], abs=1e-6)
    # With 3 degrees of freedom t has a closed form.
    t = 0.25 / error
    angle = math.atan(t / math.sqrt(3))
    assert found.p == pytest.approx(1 - 2 / math.pi * (angle + math.sin(angle) * math.cos(angle)))
    assert found.n == 4


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
def test_the_other_way_round_is_the_negative(pairs: list[tuple[float, float]]) -> None:
    one, other = zip(*pairs, strict=True)
    there, back = paired_difference(one, other, 5), paired_difference(other, one, 5)
    assert [there.mean, there.low, there.high] == pytest.approx([-back.mean, -back.high, -back.low])
    assert there.p == pytest.approx(back.p)


def test_the_correction_keeps_the_false_alarms_down() -> None:
    """Means over folds of splits of the same patients: their errors are shared, and the plain test forgets that."""
    rng, k, splits, alarms, plain = np.random.default_rng(0), 5, 5, 0, 0
    for _ in range(400):
        patients = rng.normal(0, 1, 100)  # by how much one way is right where the other is not
        folds = [patients[rows].mean() for _ in range(splits) for rows in np.split(rng.permutation(100), k)]
        alarms += paired_difference(folds, np.zeros(25), k).p < 0.05
        plain += abs(np.mean(folds)) / (np.std(folds, ddof=1) / 5) > 2.064
    assert alarms / 400 < 0.07 < plain / 400


def test_no_difference_and_one_pair() -> None:
    assert paired_difference([0.5, 0.5], [0.5, 0.5], 2).p == 1
    one = paired_difference([0.5], [0.4], 2)
    assert one.mean == pytest.approx(0.1)
    assert math.isnan(one.p)


@pytest.mark.parametrize(("one", "other"), [([0.1], [0.1, 0.2]), ([], []), ([math.nan], [0.1])])
def test_what_is_no_pair(one: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        paired_difference(one, other, 5)
