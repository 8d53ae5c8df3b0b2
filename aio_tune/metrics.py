"""Classification metrics, as the paper defines them, in NumPy alone.

All of them lie in [0, 1] and higher is better. Two rules hold everywhere and no function warns:

- A ratio with nothing below the line (precision of a class that was never called, recall of a class that has no
  sample) is 0, as in scikit-learn with ``zero_division=0``.
- An area under the ROC curve needs both sides of its question. Where one is absent it is NaN: undefined, not bad.

For more than two classes every class is asked against the rest, and ``auc``, ``precision``, ``recall`` and ``f1``
are the averages weighted by class frequency, as in scikit-learn with ``average="weighted"`` (and
``multi_class="ovr"``). Weighted recall therefore equals accuracy.

Source of the choice of metrics: Chen et al., Breast Cancer Res 23:96, 2021, Methods and Tables 2 and 3.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.floating]

IN_TABLES = ("accuracy", "auc", "precision", "recall", "f1")
"""Metrics of every task, in the order in which tables show them."""
_BASE = ("accuracy", "precision", "recall", "f1", "auc")
_PER_CLASS = ("auc", "precision", "recall", "f1")
_SUM_TOLERANCE = 1e-3  # float32 softmax over a few classes is far closer to 1; logits are far further


def metric_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Names that ``evaluate_calls`` gives for these classes, in its order."""
    if len(classes) == 2:
        return _BASE
    return (*_BASE, *(f"{metric}_{name}" for name in classes for metric in _PER_CLASS))


def call_classes(probabilities: FloatArray) -> npt.NDArray[np.intp]:
    """The called class of each row: the most probable one, the first of equals.

    Args:
        probabilities: shape (n, n_classes).

    Returns:
        Class indices, shape (n,).
    """
    return np.argmax(probabilities, axis=1)


def confusion(y: IntArray, probabilities: FloatArray, n_classes: int) -> npt.NDArray[np.int64]:
    """How often each true class was called as each class.

    Args:
        y: true class indices 0..n_classes-1, shape (n,).
        probabilities: shape (n, n_classes), rows summing to 1.
        n_classes: number of classes.

    Returns:
        Counts, shape (n_classes, n_classes), indexed [true, called].

    Raises:
        ValueError: the shapes do not fit, a label is out of range or a probability is not one.
    """
    _check(y, probabilities, n_classes)
    return _confusion(y, probabilities, n_classes)


def roc_points(y: IntArray, score: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The ROC curve, one point per distinct score, from (0, 0) to (1, 1).

    Args:
        y: 1 for the positive class, 0 for the rest, shape (n,).
        score: higher means more likely positive, shape (n,). Equal scores share one point.

    Returns:
        False positive rate and true positive rate, both of shape (1 + number of distinct scores,) and not
        decreasing. A rate without a denominator (no negative, no positive sample) is NaN throughout.

    Raises:
        ValueError: the shapes differ, are empty, a label is neither 0 nor 1 or a score is not finite.
    """
    _check_scores(y, score)
    _, rank, count = np.unique(-np.asarray(score, np.float64), return_inverse=True, return_counts=True)
    positives = np.bincount(rank[y == 1], minlength=count.size)

    def rate(hits: IntArray) -> npt.NDArray[np.float64]:
        steps = np.concatenate(([0.0], np.cumsum(hits)))
        return steps / steps[-1] if steps[-1] > 0 else np.full_like(steps, np.nan)

    return rate(count - positives), rate(positives)


def one_against_rest(
    y: IntArray, probabilities: FloatArray, classes: Sequence[str]
) -> dict[str, tuple[npt.NDArray[np.int64], FloatArray]]:
    """The yes-or-no questions that a task asks: of two classes the second one's, of more every class's.

    Args:
        y: true class indices, shape (n,).
        probabilities: shape (n, n_classes).
        classes: class names in the order of the columns.

    Returns:
        Class -> 1 where a sample belongs to it and 0 elsewhere, and its probability; both of shape (n,).
    """
    asked = list(enumerate(classes))[1 if len(classes) == 2 else 0 :]
    return {name: ((y == i).astype(np.int64), probabilities[:, i]) for i, name in asked}


def binary_metrics(y: IntArray, p: FloatArray) -> dict[str, float]:
    """Accuracy, precision, recall, F1 and AUC of a two-class question; the first four at a probability above 0.5.

    Args:
        y: 1 for the positive class, 0 for the negative one, shape (n,).
        p: probability of the positive class, shape (n,).

    Returns:
        ``accuracy``, ``precision``, ``recall``, ``f1`` and ``auc`` of the positive class. ``auc`` is NaN where ``y``
        holds one class only.

    Raises:
        ValueError: the shapes differ or are empty, a label is neither 0 nor 1 or ``p`` is not within 0..1.
    """
    p = np.asarray(p, np.float64)
    _check_scores(y, p)
    return evaluate_calls(y, np.stack([1.0 - p, p], axis=1), ("0", "1"))


def multiclass_metrics(y: IntArray, probabilities: FloatArray, class_names: Sequence[str]) -> dict[str, float]:
    """Metrics of each class against the rest, and their averages weighted by class frequency.

    Args:
        y: true class indices, shape (n,).
        probabilities: shape (n, n_classes), rows summing to 1.
        class_names: names in the order of the columns; they end the keys (``auc_G1``).

    Returns:
        ``accuracy``; ``precision``, ``recall``, ``f1`` and ``auc`` (weighted); ``auc_*``, ``precision_*``,
        ``recall_*`` and ``f1_*`` per class. ``auc_*`` is NaN for a class without samples, which carries no weight in
        ``auc``; with one class only ``auc`` is NaN too.

    Raises:
        ValueError: the shapes do not fit, a label is out of range or a probability is not one.
    """
    _check(y, probabilities, len(class_names))
    return _multiclass(y, probabilities, class_names)


def evaluate_calls(y: IntArray, probabilities: FloatArray, classes: Sequence[str]) -> dict[str, float]:
    """Every metric of a task: ``binary_metrics`` for two classes, else ``multiclass_metrics``.

    Args:
        y: true class indices, shape (n,); rows with a missing label are to be left out before.
        probabilities: shape (n, n_classes), rows summing to 1.
        classes: class names in the order of the columns; of two the second is the positive one.

    Raises:
        ValueError: the shapes do not fit, a label is out of range or a probability is not one.
    """
    _check(y, probabilities, len(classes))
    return _evaluate(y, probabilities, classes)


def mean_sd(folds: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean and sample standard deviation (n - 1 below the line) of each metric over folds or runs.

    A value that is NaN in one fold makes mean and sd NaN: leaving the fold out would quietly average something else.

    Args:
        folds: one dictionary per fold, all with the same keys.

    Returns:
        Metric -> (mean, sd); sd is NaN for a single fold.

    Raises:
        ValueError: there is no fold, or the keys differ.
    """
    if not folds:
        raise ValueError("Expected the metrics of at least one fold. Received none.")
    names = list(folds[0])
    for fold in folds:
        if set(fold) != set(names):
            raise ValueError(f"Expected the same metrics in every fold, {sorted(names)}. Received {sorted(fold)}.")
    result = {}
    for name in names:
        values = np.array([fold[name] for fold in folds], np.float64)
        result[name] = (float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else math.nan)
    return result


def bootstrap_intervals(
    y: IntArray,
    probabilities: FloatArray,
    classes: Sequence[str],
    *,
    groups: npt.NDArray[np.str_] | Sequence[str],
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of every metric, drawing whole patients with replacement.

    Samples of one patient are not independent, so the patient is what is drawn (cluster bootstrap: Davison and
    Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Draws in which a metric is undefined are
    left out of its interval.

    Args:
        y: true class indices, shape (n_samples,).
        probabilities: shape (n_samples, n_classes), rows summing to 1.
        classes: class names in the order of the columns.
        groups: patient of each sample, length n_samples.
        n: number of draws.
        seed: of the draws.
        level: coverage, between 0 and 1.

    Returns:
        Metric -> (low, high); NaN both where every draw left the metric undefined.

    Raises:
        ValueError: the shapes do not fit, a label is out of range, a probability is not one, or ``n`` < 1 or
            ``level`` is not between 0 and 1.
    """
    _check(y, probabilities, len(classes))
    if len(groups) != len(y):
        raise ValueError(f"Expected one group per sample, {len(y)}. Received {len(groups)}.")
    if n < 1 or not 0 < level < 1:
        raise ValueError(f"Expected n >= 1 and 0 < level < 1. Received n={n}, level={level}.")
    rng = np.random.default_rng(seed)
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    rows_of = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    draws = np.empty((n, len(metric_names(classes))))
    for i in range(n):
        drawn = rng.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[g] for g in drawn])
        draws[i] = list(_evaluate(y[rows], probabilities[rows], classes).values())
    tails = [(1 - level) / 2, (1 + level) / 2]
    intervals = {}
    for name, values in zip(metric_names(classes), draws.T, strict=True):
        defined = values[~np.isnan(values)]
        low, high = np.quantile(defined, tails) if defined.size else (math.nan, math.nan)
        intervals[name] = (float(low), float(high))
    return intervals


def bootstrap_interval(
    y: IntArray,
    probabilities: FloatArray,
    classes: Sequence[str],
    metric: str,
    *,
    groups: npt.NDArray[np.str_] | Sequence[str],
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The interval of one metric; see ``bootstrap_intervals``.

    Raises:
        ValueError: as there, or ``metric`` is not one of ``metric_names(classes)``.
    """
    if metric not in metric_names(classes):
        raise ValueError(f"Expected a metric, one of {', '.join(metric_names(classes))}. Received {metric!r}.")
    return bootstrap_intervals(y, probabilities, classes, groups=groups, n=n, seed=seed, level=level)[metric]


def _evaluate(y: IntArray, probabilities: FloatArray, classes: Sequence[str]) -> dict[str, float]:
    return _binary(y, probabilities) if len(classes) == 2 else _multiclass(y, probabilities, classes)


def _binary(y: IntArray, probabilities: FloatArray) -> dict[str, float]:
    counts = _confusion(y, probabilities, 2)
    precision, recall, f1 = _precision_recall_f1(counts)
    return {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "precision": float(precision[1]),
        "recall": float(recall[1]),
        "f1": float(f1[1]),
        "auc": _auc(y == 1, probabilities[:, 1]),
    }


def _multiclass(y: IntArray, probabilities: FloatArray, class_names: Sequence[str]) -> dict[str, float]:
    counts = _confusion(y, probabilities, len(class_names))
    precision, recall, f1 = _precision_recall_f1(counts)
    auc = np.array([_auc(y == c, probabilities[:, c]) for c in range(len(class_names))])
    frequency = counts.sum(axis=1) / counts.sum()
    present = frequency > 0
    metrics = {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "precision": float(frequency @ precision),
        "recall": float(frequency @ recall),
        "f1": float(frequency @ f1),
        "auc": float(frequency[present] @ auc[present]),
    }
    for c, name in enumerate(class_names):
        metrics |= {
            f"auc_{name}": float(auc[c]),
            f"precision_{name}": float(precision[c]),
            f"recall_{name}": float(recall[c]),
            f"f1_{name}": float(f1[c]),
        }
    return metrics


def _confusion(y: IntArray, probabilities: FloatArray, n_classes: int) -> npt.NDArray[np.int64]:
    pairs = np.asarray(y, np.int64) * n_classes + call_classes(probabilities)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def _precision_recall_f1(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Per class, from counts [true, called]; 0 where nothing is below the line."""
    hits, true, called = np.diag(counts).astype(np.float64), counts.sum(axis=1), counts.sum(axis=0)
    # A denominator of 0 comes with a numerator of 0, so any other denominator gives the 0 that is wanted.
    return hits / np.maximum(called, 1), hits / np.maximum(true, 1), 2 * hits / np.maximum(true + called, 1)


def _auc(positive: npt.NDArray[np.bool_], score: FloatArray) -> float:
    """Area under the ROC curve by midranks: the chance that a positive outscores a negative, ties counting half.

    Source: Hanley and McNeil, Radiology 143:29, 1982 (equivalence with the Mann-Whitney statistic).
    """
    n_positive = int(np.count_nonzero(positive))
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return math.nan
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    midrank = np.cumsum(ties) - (ties - 1) / 2
    rank_sum = float(midrank[place[positive]].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def _check(y: IntArray, probabilities: FloatArray, n_classes: int) -> None:
    if n_classes < 2:
        raise ValueError(f"Expected at least two classes. Received {n_classes}.")
    if y.ndim != 1 or y.size == 0 or probabilities.shape != (y.size, n_classes):
        raise ValueError(
            f"Expected labels (n,) and probabilities (n, {n_classes}), n > 0. "
            f"Received {y.shape} and {probabilities.shape}."
        )
    if y.min() < 0 or y.max() >= n_classes:
        raise ValueError(f"Expected labels 0..{n_classes - 1}. Received {y.min()}..{y.max()}.")
    sums = probabilities.sum(axis=1)
    # Written so that NaN fails it.
    if not (probabilities.min() >= 0 and np.abs(sums - 1).max() <= _SUM_TOLERANCE):
        raise ValueError(
            "Expected probabilities, not below 0 and summing to 1 in each row. "
            f"Received a lowest of {probabilities.min():.4g} and sums of {sums.min():.4g}..{sums.max():.4g}."
        )


def _check_scores(y: IntArray, score: FloatArray) -> None:
    if y.ndim != 1 or y.size == 0 or score.shape != y.shape:
        raise ValueError(f"Expected labels and scores (n,), n > 0. Received {y.shape} and {score.shape}.")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"Expected labels 0 and 1. Received {y.min()}..{y.max()}.")
    if not np.isfinite(score).all():
        raise ValueError("Expected finite scores. Received NaN or infinity.")
