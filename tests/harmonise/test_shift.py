"""The shift between cohorts, before and after."""

import json
import math

import numpy as np
import pytest

from aio_tune.errors import EvaluationError
from aio_tune.figures import save_png, shift_figure
from aio_tune.harmonise import HARMONISERS
from aio_tune.harmonise.shift import (
    cohort_share,
    harmonised,
    mean_correlation,
    measure_shift,
    prevalence,
)


def cohorts() -> dict[str, np.ndarray]:
    """Two cohorts of one platform and one of another, which shifts and stretches every gene in its own way."""
    random = np.random.default_rng(0)
    levels = random.uniform(1, 9, 60)
    a, b, c = (levels + random.normal(0, 1, (n, 60)) for n in (40, 20, 25))
    c = c * random.uniform(0.5, 2, 60) + random.normal(0, 3, 60)
    return {name: x.astype(np.float32) for name, x in (("A", a), ("B", b), ("C", c))}


def test_measures_against_numpy() -> None:
    data = cohorts()
    shift = measure_shift(data)
    assert list(shift.correlation) == ["A to B", "A to C", "B to C"]
    for pair, r in shift.correlation.items():
        a, b = (data[name].mean(axis=0) for name in pair.split(" to "))
        assert r == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-5)
    together = np.concatenate(list(data.values())).astype(np.float64)
    centred = together - together.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * values[:2]
    signs = np.sign((shift.coordinates * expected).sum(axis=0))
    np.testing.assert_allclose(shift.coordinates * signs, expected, atol=0.02)
    np.testing.assert_allclose(shift.explained, (values**2 / (values**2).sum())[:2], atol=1e-4)
    assert shift.cohort_of.tolist() == ["A"] * 40 + ["B"] * 20 + ["C"] * 25
    again = measure_shift(data)
    assert again.coordinates.tobytes() == shift.coordinates.tobytes()


def test_cohort_share_by_hand() -> None:
    names = np.array(["a", "a", "b", "b"])
    at = np.array([[0.0, 0], [2, 0], [4, 0], [6, 0]])  # centres 1 and 5 around 3: 4 * 4 of 9 + 1 + 1 + 9
    assert cohort_share(at, names) == pytest.approx(16 / 20)
    assert cohort_share(at[[0, 3, 0, 3]], names) == pytest.approx(0)
    assert cohort_share(at[[0, 0, 3, 3]], names) == pytest.approx(1)
    assert math.isnan(cohort_share(at[[0, 0, 0, 0]], names))


@pytest.mark.parametrize("name", ["fsqn", "cohort_zscore", "combat"])
def test_transductive_harmonising_brings_the_other_platform_home(name: str) -> None:
    data = cohorts()
    before, after = measure_shift(data), measure_shift(harmonised(data, name, "A"))
    assert before.correlation["A to C"] < 0.9
    assert before.cohort_share > 0.5
    assert after.cohort_share < 0.1
    if name == "cohort_zscore":
        assert math.isnan(after.correlation["A to C"])
        assert after.as_dict()["correlation"]["A to C"] is None
    else:
        assert after.correlation["A to C"] > 0.99
    json.dumps(after.as_dict(), allow_nan=False)


@pytest.mark.parametrize("name", list(HARMONISERS))
def test_harmonised_is_what_a_model_of_the_reference_sees(name: str) -> None:
    data = cohorts()
    fitted = HARMONISERS[name].fit(data["B"])
    drawn = harmonised(data, name, "B")
    assert list(drawn) == ["A", "B", "C"]
    np.testing.assert_array_equal(drawn["A"], fitted.transform(data["A"]))
    np.testing.assert_array_equal(drawn["B"], fitted.reference(data["B"]))


def test_what_cannot_be_harmonised_is_refused() -> None:
    data = cohorts()
    with pytest.raises(EvaluationError, match="Expected a harmoniser, one of none, rank"):
        harmonised(data, "nothing", "A")
    with pytest.raises(EvaluationError, match=r"Expected one of the cohorts A, B, C\. Received 'D'"):
        harmonised(data, "none", "D")
    with pytest.raises(EvaluationError, match=r"at least 10 samples .* fsqn\. Received 9 of B\."):
        harmonised({**data, "B": data["B"][:9]}, "fsqn", "A")
    assert len(harmonised({**data, "B": data["B"][:9]}, "fsqn", "B")["B"]) == 9  # the reference may be small


def test_what_cannot_be_measured_is_refused() -> None:
    x = np.zeros((2, 3), dtype=np.float32)
    for bad in ({}, {"A": x}, {"A": x, "B": x[:0]}, {"A": x, "B": x[:, :2]}, {"A": x[:, :1], "B": x[:, :1]}):
        with pytest.raises(ValueError, match="Expected cohorts of the same"):
            measure_shift(bad)


def test_samples_that_are_all_the_same() -> None:
    x = np.ones((3, 4), dtype=np.float32)
    shift = measure_shift({"A": x, "B": x})
    assert (shift.coordinates == 0).all()
    assert shift.as_dict() == {"correlation": {"A to B": None}, "explained": [None, None], "cohort_share": None}
    assert math.isnan(mean_correlation({"A": x, "B": x})["A to B"])


def test_prevalence_by_hand() -> None:
    labels = {"A": np.array([0, 1, 1, -1, 1]), "B": np.array([-1, -1]), "C": np.array([0, 0])}
    shares = prevalence(labels, ("negative", "positive"))
    assert shares["A"] == {"negative": 0.25, "positive": 0.75}
    assert shares["C"] == {"negative": 1.0, "positive": 0.0}
    assert all(math.isnan(share) for share in shares["B"].values())


def test_figure(tmp_path) -> None:
    data = cohorts()
    shifts = {name: measure_shift(harmonised(data, name, "A")) for name in ("none", "combat")}
    figure = shift_figure({name: (shift.coordinates, shift.cohort_of) for name, shift in shifts.items()})
    assert [axes.get_title() for axes in figure.axes] == ["none", "combat"]
    for axes in figure.axes:
        drawn = {scatter.get_label(): len(scatter.get_offsets()) for scatter in axes.collections}
        assert drawn == {"A": 40, "B": 20, "C": 25}
    save_png(figure, tmp_path / "shift.png")
    assert (tmp_path / "shift.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="one or more panels"):
        shift_figure({})
