import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    accuracy_score,
    auc,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from aio_tune.metrics import (
    binary_metrics,
    bootstrap_interval,
    bootstrap_intervals,
    call_classes,
    confusion,
    evaluate_calls,
    mean_sd,
    metric_names,
    multiclass_metrics,
    one_against_rest,
    roc_points,
)

TWO = ("negative", "positive")
THREE = ("G1", "G2", "G3")


@st.composite
def calls(draw, n_classes, max_size=40):
    """Labels (classes may be absent) and probabilities from a coarse grid, so that ties and constants are common."""
    n = draw(st.integers(1, max_size))
    y = draw(hnp.arrays(np.int8, n, elements=st.integers(0, n_classes - 1)))
    weights = draw(hnp.arrays(np.float64, (n, n_classes), elements=st.integers(1, draw(st.integers(1, 6)))))
    return y, weights / weights.sum(axis=1, keepdims=True)


def sklearn_oracle(y, p, classes):
    n_classes = len(classes)
    called = p.argmax(axis=1)
    labels = list(range(n_classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        y, called, labels=labels, average=None, zero_division=0
    )
    aucs = [
        roc_auc_score(y == c, p[:, c]) if 0 < np.count_nonzero(y == c) < len(y) else math.nan for c in range(n_classes)
    ]
    expected = {"accuracy": accuracy_score(y, called)}
    if n_classes == 2:
        return expected | {"precision": precision[1], "recall": recall[1], "f1": f1[1], "auc": aucs[1]}
    averages = precision_recall_fscore_support(y, called, labels=labels, average="weighted", zero_division=0)[:3]
    expected |= dict(zip(("precision", "recall", "f1"), averages, strict=True))
    expected["auc"] = math.nan if np.isnan(aucs[y[0]]) else np.average(np.nan_to_num(aucs), weights=support)
    for c, name in enumerate(classes):
        expected |= {
            f"auc_{name}": aucs[c],
            f"precision_{name}": precision[c],
            f"recall_{name}": recall[c],
            f"f1_{name}": f1[c],
        }
    return expected


@given(calls(2))
def test_two_classes_agree_with_scikit_learn(case):
    y, p = case
    assert evaluate_calls(y, p, TWO) == pytest.approx(sklearn_oracle(y, p, TWO), nan_ok=True, abs=1e-12)


@given(calls(3))
def test_three_classes_agree_with_scikit_learn(case):
    y, p = case
    metrics = evaluate_calls(y, p, THREE)
    assert metrics == pytest.approx(sklearn_oracle(y, p, THREE), nan_ok=True, abs=1e-12)
    assert metrics["recall"] == pytest.approx(metrics["accuracy"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [TWO, THREE, tuple("abcdef")])
def test_random_probabilities_agree_with_scikit_learn(classes, dtype):
    rng = np.random.default_rng(3)
    for n in (50, 1000):
        p = rng.dirichlet(np.full(len(classes), 0.4), n).astype(dtype)
        y = np.array([rng.choice(len(classes), p=row / row.sum()) for row in p.astype(np.float64)], np.int8)
        metrics = evaluate_calls(y, p, classes)
        assert metrics == pytest.approx(sklearn_oracle(y, p, classes), abs=1e-12)
        assert tuple(metrics) == metric_names(classes)
        if len(classes) > 2 and dtype is np.float64:
            one_call = roc_auc_score(y, p, multi_class="ovr", average="weighted")
            assert metrics["auc"] == pytest.approx(one_call, abs=1e-12)


def test_two_classes_by_hand():
    y = np.array([0, 0, 1, 1, 1])
    p = np.array([0.1, 0.6, 0.6, 0.4, 0.9])
    # Called positive: rows 1, 2, 4. Of six (positive, negative) pairs four are won, one is tied, one is lost.
    expected = {"accuracy": 3 / 5, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "auc": 4.5 / 6}
    assert binary_metrics(y, p) == pytest.approx(expected)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_leaves_auc_undefined_and_the_rest_as_it_is(label):
    y = np.full(4, label)
    metrics = binary_metrics(y, np.array([0.2, 0.3, 0.4, 0.9]))
    assert math.isnan(metrics["auc"])
    assert metrics["accuracy"] == (0.75 if label == 0 else 0.25)
    assert metrics["recall"] == (0.0 if label == 0 else 0.25)


def test_constant_scores_are_chance():
    metrics = binary_metrics(np.array([0, 1, 0, 1]), np.full(4, 0.5))
    assert metrics == {"accuracy": 0.5, "precision": 0.0, "recall": 0.0, "f1": 0.0, "auc": 0.5}


def test_a_class_without_samples_has_no_weight():
    y = np.array([0, 0, 1, 1])
    p = np.array([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])
    metrics = multiclass_metrics(y, p, THREE)
    assert math.isnan(metrics["auc_G3"])
    assert metrics["auc"] == pytest.approx((metrics["auc_G1"] + metrics["auc_G2"]) / 2)
    assert metrics["precision_G3"] == metrics["recall_G3"] == 0.0
    assert metrics["precision"] == pytest.approx(0.5 * 1.0 + 0.5 * 0.5)


@given(calls(2))
def test_auc_ignores_any_increasing_change_of_the_scores_and_turns_over_with_them(case):
    y, p = case
    area = binary_metrics(y, p[:, 1])["auc"]
    assert binary_metrics(y, p[:, 1] ** 3 / 2)["auc"] == pytest.approx(area, nan_ok=True)
    assert binary_metrics(1 - y, p[:, 1])["auc"] == pytest.approx(1 - area, nan_ok=True)


@given(calls(3))
def test_row_order_does_not_matter(case):
    y, p = case
    assert evaluate_calls(y[::-1], p[::-1], THREE) == pytest.approx(evaluate_calls(y, p, THREE), nan_ok=True)


@given(calls(3))
def test_confusion_agrees_with_scikit_learn(case):
    y, p = case
    counts = confusion(y, p, 3)
    assert counts.dtype == np.int64
    assert (counts == confusion_matrix(y, call_classes(p), labels=[0, 1, 2])).all()


@given(calls(2))
def test_roc_points_agree_with_scikit_learn(case):
    y, p = case
    false_rate, true_rate = roc_points(y, p[:, 1])
    positives = np.count_nonzero(y)
    if 0 < positives < len(y):
        expected_false, expected_true, _ = roc_curve(y, p[:, 1], drop_intermediate=False)
        np.testing.assert_allclose(false_rate, expected_false)
        np.testing.assert_allclose(true_rate, expected_true)
        assert auc(false_rate, true_rate) == pytest.approx(binary_metrics(y, p[:, 1])["auc"])
    else:
        assert np.isnan(true_rate if positives == 0 else false_rate).all()
        assert (true_rate if positives else false_rate)[-1] == 1


def test_questions_of_two_and_of_three_classes():
    y, p = np.array([0, 2, 1]), np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])
    asked = one_against_rest(y, p, THREE)
    assert list(asked) == list(THREE)
    truth, score = asked[THREE[2]]
    assert (truth.tolist(), score.tolist()) == ([0, 1, 0], [0.1, 0.7, 0.3])
    ((name, (truth, score)),) = one_against_rest(y[[0, 2]], p[[0, 2], :2], ("no", "yes")).items()
    assert (name, truth.tolist(), score.tolist()) == ("yes", [0, 1], [0.2, 0.4])


def test_mean_and_sample_sd():
    folds = [{"auc": 0.8, "f1": 0.5}, {"auc": 0.9, "f1": math.nan}, {"auc": 0.7, "f1": 0.5}]
    result = mean_sd(folds)
    assert result["auc"] == pytest.approx((0.8, 0.1))
    assert np.isnan(result["f1"]).all()
    assert mean_sd([{"auc": 0.8}])["auc"] == pytest.approx((0.8, math.nan), nan_ok=True)


@pytest.mark.parametrize("folds", [[], [{"auc": 1.0}, {"f1": 1.0}]])
def test_mean_sd_refuses_what_cannot_be_averaged(folds):
    with pytest.raises(ValueError, match="Expected"):
        mean_sd(folds)


def simulated_calls(n, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    p = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.2 * (2 * y - 1) / 2)))
    return y, np.stack([1 - p, p], axis=1)


def test_bootstrap_interval_of_accuracy_is_near_the_normal_approximation():
    y, p = simulated_calls(400)
    accuracy = evaluate_calls(y, p, TWO)["accuracy"]
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / 400)
    interval = bootstrap_interval(y, p, TWO, "accuracy", groups=[f"P{i}" for i in range(400)], n=400, seed=1)
    assert interval == pytest.approx((accuracy - half, accuracy + half), abs=0.012)


def test_bootstrap_draws_patients_not_samples():
    y, p = simulated_calls(100)
    alone = [f"P{i}" for i in range(100)]
    narrow = bootstrap_interval(y, p, TWO, "auc", groups=alone, n=300)
    # Ten copies of every sample add nothing when they are known to be of the same patient.
    repeated = bootstrap_interval(y.repeat(10), p.repeat(10, axis=0), TWO, "auc", groups=np.repeat(alone, 10), n=300)
    assert repeated == pytest.approx(narrow, abs=0.03)
    pretended = bootstrap_interval(
        y.repeat(10), p.repeat(10, axis=0), TWO, "auc", groups=[f"P{i}" for i in range(1000)], n=300
    )
    assert pretended[1] - pretended[0] < 0.5 * (narrow[1] - narrow[0])


def test_bootstrap_is_repeatable_and_covers_every_metric():
    y, p = simulated_calls(30)
    first = bootstrap_intervals(y, p, TWO, groups=[f"P{i % 20}" for i in range(30)], n=50, seed=7)
    assert first == bootstrap_intervals(y, p, TWO, groups=[f"P{i % 20}" for i in range(30)], n=50, seed=7)
    assert tuple(first) == metric_names(TWO)
    assert all(low <= high for low, high in first.values())


def test_bootstrap_of_one_class_leaves_auc_undefined():
    _, p = simulated_calls(5)
    intervals = bootstrap_intervals(np.zeros(5, int), p, TWO, groups=list("abcde"), n=10)
    assert np.isnan(intervals["auc"]).all()
    assert not np.isnan(intervals["accuracy"]).any()


GOOD = np.array([[0.5, 0.5], [0.1, 0.9]])


@pytest.mark.parametrize(
    ("y", "p"),
    [
        (np.array([], int), np.empty((0, 2))),
        (np.array([0, 1, 1]), GOOD),
        (np.array([0, 2]), GOOD),
        (np.array([0, -1]), GOOD),
        (np.array([[0, 1]]), GOOD),
        (np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.5]])),
        (np.array([0, 1]), np.array([[-2.0, 3.0], [0.5, 0.5]])),
        (np.array([0, 1]), np.array([[4.0, 3.0], [0.5, 0.5]])),
    ],
)
def test_what_is_not_labels_and_probabilities_is_refused(y, p):
    with pytest.raises(ValueError, match="Expected"):
        evaluate_calls(y, p, TWO)
    with pytest.raises(ValueError, match="Expected"):
        confusion(y, p, 2)


@pytest.mark.parametrize(
    ("y", "score"), [([], []), ([0, 1], [0.5]), ([0, 2], [0.1, 0.2]), ([0, 1], [0.1, math.inf]), ([0, 1], [2.0, 0.0])]
)
def test_binary_metrics_refuses_what_is_not_labels_and_probabilities(y, score):
    with pytest.raises(ValueError, match="Expected"):
        binary_metrics(np.array(y, int), np.array(score))


def test_bootstrap_refuses_wrong_arguments():
    y, p = simulated_calls(4)
    for wrong in ({"groups": ["a"]}, {"n": 0}, {"level": 1.0}):
        with pytest.raises(ValueError, match="Expected"):
            bootstrap_intervals(y, p, TWO, **({"groups": list("abcd")} | wrong))
    with pytest.raises(ValueError, match="one of accuracy"):
        bootstrap_interval(y, p, TWO, "mcc", groups=list("abcd"))


@settings(max_examples=30)
@given(calls(3), st.integers(0, 2**32))
def test_intervals_stay_within_the_range_of_the_metric(case, seed):
    y, p = case
    for low, high in bootstrap_intervals(y, p, THREE, groups=["P"] * len(y), n=5, seed=seed).values():
        assert math.isnan(low) or 0 <= low <= high <= 1 + 1e-12
