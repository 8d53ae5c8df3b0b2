import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from aio_tune.errors import EvaluationError
from aio_tune.evaluation import LogisticOnComponents, cross_validate
from aio_tune.evaluation.baselines import BASELINES, LinearSvm, Majority, SingleGene, f_statistics
from aio_tune.expression import Rows, as_rows
from aio_tune.folds import make_folds
from aio_tune.metrics import mean_sd

CLASSES = {2: ("negative", "positive"), 3: ("G1", "G2", "G3")}


def data(n_classes, n=120, genes=200, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n).astype(np.int8)
    x = rng.normal(4, 2, (n, genes)).astype(np.float32)
    x[:, :15] += 1.5 * y[:, None]
    return x, y, make_folds(y, [f"p{i}" for i in range(n)], 4, seed)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_baseline_is_what_a_plain_pipeline_gives(n_classes):
    x, y, folds = data(n_classes)
    found = cross_validate(LogisticOnComponents, x, y, folds, CLASSES[n_classes], seed=0)
    assert len(found) == 4
    for metrics, train, valid in zip(found, folds.train, folds.valid, strict=True):
        pca = make_pipeline(StandardScaler(), PCA(50, svd_solver="full"))
        first = pca.fit_transform(x[train].astype(np.float64))[:, 0].std(ddof=1)
        pipeline = make_pipeline(pca, FunctionTransformer(lambda s, first=first: s / first), LogisticRegression())
        p = pipeline.fit(x[train].astype(np.float64), y[train]).predict_proba(x[valid])
        score = p[:, 1] if n_classes == 2 else p
        assert metrics["auc"] == pytest.approx(
            roc_auc_score(y[valid], score, multi_class="ovr", average="weighted"), abs=0.01
        )
        assert metrics["accuracy"] == pytest.approx(accuracy_score(y[valid], p.argmax(axis=1)), abs=0.04)
    assert mean_sd(found)["auc"][0] > 0.75


def test_small_inputs_are_the_pipeline_to_the_digit():
    x, y, _ = data(3, n=40, genes=20)  # few enough for the exact PCA
    baseline = LogisticOnComponents.fit(x[:30], y[:30], CLASSES[3], seed=0)
    scores = make_pipeline(StandardScaler(), PCA(20)).fit(x[:30].astype(np.float64))
    first = scores.transform(x[:30])[:, 0].std(ddof=1)
    oracle = LogisticRegression(max_iter=1000).fit(scores.transform(x[:30]) / first, y[:30])
    expected = oracle.predict_proba(scores.transform(x[30:]) / first)
    assert baseline.predict(x[30:]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("n", "n_classes"), [(120, 2), (700, 3)])
def test_rows_read_in_pieces_give_nearly_the_same(n, n_classes):
    x, y, folds = data(n_classes, n=n)
    at_once = cross_validate(LogisticOnComponents, x, y, folds, CLASSES[n_classes], seed=0)
    in_pieces = cross_validate(LogisticOnComponents, as_rows(x), y, folds, CLASSES[n_classes], seed=0)
    assert mean_sd(in_pieces)["auc"][0] == pytest.approx(mean_sd(at_once)["auc"][0], abs=0.02)
    train = folds.train[0]
    one, other = (
        LogisticOnComponents.fit(rows, y[train], CLASSES[n_classes], seed=0) for rows in (x[train], Rows(x, train))
    )
    assert np.corrcoef(one.predict(x).ravel(), other.predict(as_rows(x)).ravel())[0, 1] > 0.95
    with pytest.raises(EvaluationError, match="genes that vary"):
        LogisticOnComponents.fit(as_rows(np.ones_like(x)), y, CLASSES[n_classes], seed=0)


def test_validation_rows_change_nothing_in_the_fit():
    x, y, folds = data(2)
    train, valid = folds.train[0], folds.valid[0]
    moved = x.copy()
    moved[valid] += 100
    probe = x[valid]
    first = LogisticOnComponents.fit(x[train], y[train], CLASSES[2], seed=0).predict(probe)
    assert np.array_equal(first, LogisticOnComponents.fit(moved[train], y[train], CLASSES[2], seed=0).predict(probe))


def test_the_penalty_does_not_fade_with_the_number_of_genes():
    x, y, _ = data(2, n=60)  # so few rows that the PCA is exact
    once, five = (
        LogisticOnComponents.fit(m[:40], y[:40], CLASSES[2], 0).predict(m[40:]) for m in (x, np.tile(x, (1, 5)))
    )
    assert once == pytest.approx(five, abs=1e-2)


def test_fewer_rows_or_genes_than_components():
    x, y, _ = data(2, n=20, genes=5)
    p = LogisticOnComponents.fit(x, y, CLASSES[2], seed=0).predict(x)
    assert p.shape == (20, 2) and p.sum(axis=1) == pytest.approx(1)
    x, y, _ = data(2, n=24, genes=90)
    assert LogisticOnComponents.fit(x[:10], y[:10], CLASSES[2], seed=0).predict(x).shape == (24, 2)


def test_constant_genes_are_no_trouble():
    x, y, _ = data(2)
    x[:, 50:] = 3
    assert np.isfinite(LogisticOnComponents.fit(x, y, CLASSES[2], seed=0).predict(x + 1)).all()
    x[:] = 3
    with pytest.raises(EvaluationError, match=r"Expected genes that vary .* Received none\."):
        LogisticOnComponents.fit(x, y, CLASSES[2], seed=0)


def test_a_class_absent_from_training_gets_no_probability():
    x, y, _ = data(3)
    rows = y != 1
    p = LogisticOnComponents.fit(x[rows], y[rows], CLASSES[3], seed=0).predict(x)
    assert p.shape == (len(x), 3) and (p[:, 1] == 0).all() and p.sum(axis=1) == pytest.approx(1)
    with pytest.raises(EvaluationError, match=r"at least two classes .* Received 1\."):
        LogisticOnComponents.fit(x[y == 1], y[y == 1], CLASSES[3], seed=0)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_majority_is_scikit_learns_dummy(n_classes):
    x, y, folds = data(n_classes)
    y[:60] = 1  # a clear majority that is not the first class
    found = cross_validate(Majority, x, y, folds, CLASSES[n_classes], seed=0)
    for metrics, train, valid in zip(found, folds.train, folds.valid, strict=True):
        dummy = DummyClassifier(strategy="most_frequent").fit(x[train], y[train])
        assert metrics["accuracy"] == pytest.approx(dummy.score(x[valid], y[valid]))
        assert metrics["auc"] == 0.5


def test_majority_of_equals_is_the_first():
    majority = Majority.fit(np.zeros((4, 1), np.float32), np.array([2, 1, 1, 2]), CLASSES[3], seed=0)
    assert majority.predict(np.zeros((2, 1), np.float32)).tolist() == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("baseline", BASELINES)
class TestEveryBaseline:
    """The contract."""

    def test_validation_rows_change_nothing(self, baseline, n_classes):
        x, y, folds = data(n_classes)
        moved = x.copy()
        moved[folds.valid[0]] += 100
        probe, train = x[folds.valid[0]], folds.train[0]
        first, second = (baseline.fit(m[train], y[train], CLASSES[n_classes], 0).predict(probe) for m in (x, moved))
        assert np.array_equal(first, second)
        assert first.shape == (len(probe), n_classes)
        assert first.sum(axis=1) == pytest.approx(1) and (first >= 0).all()

    def test_rows_in_pieces_give_nearly_the_same(self, baseline, n_classes):
        x, y, folds = data(n_classes, n=300)
        train = folds.train[0]
        one, other = (
            baseline.fit(rows, y[train], CLASSES[n_classes], seed=0) for rows in (x[train], Rows(as_rows(x), train))
        )
        whole, pieces = one.predict(x), other.predict(as_rows(x))
        assert np.abs(whole - pieces).mean() < 0.1
        assert (whole.argmax(axis=1) == pieces.argmax(axis=1)).mean() > 0.9

    def test_it_learns(self, baseline, n_classes):
        x, y, folds = data(n_classes, n=240)
        auc = mean_sd(cross_validate(baseline, x, y, folds, CLASSES[n_classes], seed=0))["auc"][0]
        assert auc == 0.5 if baseline is Majority else auc > 0.65

    def test_labels_that_mean_nothing_are_not_learnt(self, baseline, n_classes):
        x, y, folds = data(n_classes, n=300)
        y = np.random.default_rng(1).permutation(y)
        folds = make_folds(y, [f"p{i}" for i in range(300)], 4, 0)
        auc = mean_sd(cross_validate(baseline, x, y, folds, CLASSES[n_classes], seed=0))["auc"][0]
        assert auc == pytest.approx(0.5, abs=0.09)

    def test_a_class_that_training_lacks(self, baseline, n_classes):
        x, y, _ = data(3)
        rows = y != 1
        p = baseline.fit(x[rows], y[rows], CLASSES[3], seed=0).predict(x)
        assert (p[:, 1] == 0).all() and p.sum(axis=1) == pytest.approx(1)

    def test_what_was_not_measured(self, baseline, n_classes):
        x, y, _ = data(n_classes)
        x[::3, 5:] = np.nan
        assert np.isfinite(baseline.fit(x, y, CLASSES[n_classes], seed=0).predict(x)).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_f_statistics_are_scikit_learns(n_classes):
    x, y, _ = data(n_classes)
    x[:, 3] = 7
    with np.errstate(all="ignore"):
        expected, _ = f_classif(x.astype(np.float64)[:, [i for i in range(200) if i != 3]], y)
    found = f_statistics(x, y)
    assert found[3] == 0
    assert np.delete(found, 3) == pytest.approx(expected, rel=1e-6)


def test_single_gene_is_the_best_one_of_the_training_rows():
    x, y, _ = data(2)
    x[:, 40] += 9 * y
    fitted = SingleGene.fit(x, y, CLASSES[2], seed=0)
    assert fitted.gene == 40
    assert roc_auc_score(y, fitted.predict(x)[:, 1]) == pytest.approx(roc_auc_score(y, x[:, 40]))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_svm_is_scikit_learns_on_all_genes(n_classes):
    """With fewer rows than components these are a rotation of all genes, and a linear machine does not mind."""
    x, y, _ = data(n_classes, n=80)
    fitted = LinearSvm.fit(x, y, CLASSES[n_classes], seed=0)
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    first = PCA().fit_transform(scaled)[:, 0].std(ddof=1)
    oracle = SVC(kernel="linear").fit(scaled / first, y)
    probe = data(n_classes, n=80, seed=1)[0]
    scaled_probe = StandardScaler().fit(x.astype(np.float64)).transform(probe) / first
    assert (fitted.predict(probe).argmax(axis=1) == oracle.predict(scaled_probe)).mean() > 0.95
