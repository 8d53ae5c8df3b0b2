import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aio_tune.dataset import write_dataset
from aio_tune.errors import SearchError
from aio_tune.folds import Folds, make_folds
from aio_tune.search.rows import training_rows
from aio_tune.tasks import MISSING
from tests.test_dataset import assembly, cohort


@st.composite
def cohorts(draw):
    """Labels of two or three classes with missing ones, and patients with one to three samples."""
    n_classes = draw(st.integers(2, 3))
    n_patients = draw(st.integers(12, 40))
    labels, patients = [], []
    for patient in range(n_patients):
        for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
            labels.append(draw(st.integers(MISSING, n_classes - 1)))
            patients.append(f"S:{patient}")
    return np.array(labels, np.int8), np.array(patients), draw(st.integers(2, 5)), draw(st.integers(0, 2**32 - 1))


def folds_or_none(labels, patients, k, seed):
    try:
        return make_folds(labels, patients, k, seed)
    except SearchError:
        return None


@settings(max_examples=60, deadline=None)
@given(cohorts())
def test_every_promise_of_folds(case):
    labels, patients, k, seed = case
    folds = folds_or_none(labels, patients, k, seed)
    assume(folds is not None)
    labelled = np.flatnonzero(labels != MISSING)
    assert folds.k == k
    assert np.array_equal(np.sort(np.concatenate(folds.valid)), labelled)
    for train, valid in zip(folds.train, folds.valid, strict=True):
        assert np.array_equal(np.union1d(train, valid), labelled)
        assert np.intersect1d(train, valid).size == 0
        assert not set(patients[train]) & set(patients[valid])
        assert (np.diff(train) > 0).all() and (np.diff(valid) > 0).all()
        for side in (train, valid):
            assert set(labels[side]) == set(labels[labelled])
            assert not side.flags.writeable


@settings(max_examples=30, deadline=None)
@given(cohorts(), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(case, random):
    labels, patients, k, seed = case
    folds = folds_or_none(labels, patients, k, seed)
    order = np.array(random.sample(range(len(labels)), len(labels)))
    shuffled = folds_or_none(labels[order], patients[order], k, seed)
    assert (folds is None) == (shuffled is None)
    if folds is not None:
        for ours, theirs in zip(folds.valid, shuffled.valid, strict=True):
            assert np.array_equal(ours, np.sort(order[theirs]))


def plain(n=60, seed=0):
    labels = np.random.default_rng(seed).permutation(np.arange(n) % 3 == 0).astype(np.int8)
    return labels, [f"P{i}" for i in range(n)]


def test_classes_are_shared_out_evenly():
    folds = make_folds(*plain(), 5, 1)
    labels = plain()[0]
    assert [int(labels[valid].sum()) for valid in folds.valid] == [4] * 5
    assert [valid.size for valid in folds.valid] == [12] * 5


def test_digest_tells_folds_apart_and_is_stable():
    folds = make_folds(*plain(), 5, 1)
    assert folds == make_folds(*plain(), 5, 1)
    assert hash(folds) == hash(make_folds(*plain(), 5, 1))
    others = [make_folds(*plain(), 5, 2), make_folds(*plain(), 4, 1), make_folds(*plain(seed=1), 5, 1)]
    assert len({folds.digest, *(other.digest for other in others)}) == 4
    by_hand = Folds(0, (np.array([1, 2]), np.array([0])), (np.array([0]), np.array([1, 2])))
    # Computed once with hashlib from the text and the little-endian integers that the docstring names.
    assert by_hand.digest == "557d08cf3865b7d4accd5a50411c54238de1d9e752d6e23aa4e760cb21f26474"
    assert by_hand != "something else"


def test_saved_folds_come_back(tmp_path):
    folds = make_folds(*plain(), 5, 1)
    folds.save(tmp_path / "folds.npz")
    loaded = Folds.load(tmp_path / "folds.npz")
    assert loaded == folds
    assert all(np.array_equal(a, b) for a, b in zip(loaded.train, folds.train, strict=True))
    assert loaded.seed == 1


def test_missing_or_damaged_file_is_one_clear_line(tmp_path):
    path = tmp_path / "folds.npz"
    with pytest.raises(SearchError, match="folds at"):
        Folds.load(path)
    make_folds(*plain(), 5, 1).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SearchError, match="folds at"):
        Folds.load(path)
    path.write_bytes(b"")
    with pytest.raises(SearchError, match="folds at"):
        Folds.load(path)
    np.savez(path, seed=2, digest="0" * 64, train_0=np.array([1]), valid_0=np.array([0]))
    with pytest.raises(SearchError, match="with digest 0000"):
        Folds.load(path)


def test_a_class_with_too_few_patients_is_named():
    labels = np.array([0] * 20 + [1] * 8, np.int8)
    patients = [f"P{i}" for i in range(20)] + [f"Q{i % 4}" for i in range(8)]  # eight samples, four patients
    with pytest.raises(SearchError, match=r"class positive for 5 folds\. Received 4\.") as caught:
        make_folds(labels, patients, 5, 0, classes=("negative", "positive"))
    assert caught.value.hint == "Use 4 folds or fewer, or more samples."
    assert make_folds(labels, patients, 4, 0).k == 4


@pytest.mark.parametrize(
    ("labels", "k", "classes", "message"),
    [
        ([0, 0, 1, 1], 1, (), "at least 2 folds"),
        ([0, 0, 0, 0], 2, (), "at least two classes"),
        ([MISSING] * 4, 2, (), "at least two classes"),
        ([0, 0, 1, 1], 2, ("G1", "G2", "G3"), "class G3 for 2 folds. Received 0"),
    ],
)
def test_impossible_requests_are_refused(labels, k, classes, message):
    with pytest.raises(SearchError, match=message):
        make_folds(np.array(labels, np.int8), [f"P{i}" for i in range(4)], k, 0, classes)


@pytest.mark.parametrize(
    ("labels", "patients", "side"),
    [
        ([0, 1, 0, 1], "ABCA", "training"),
        ([0, 1, 1, 0, 1, 0, 0], "ABBCAAC", "validation"),
    ],
)
def test_patients_that_cannot_be_dealt_are_refused(labels, patients, side):
    # Each class has two patients, enough for two folds, but some patients are of both classes.
    said = f"every class in the {side} rows of fold 0.* of class"
    for names, named in (((), "[01]"), (("negative", "positive"), "(negative|positive)")):
        with pytest.raises(SearchError, match=rf"{said} {named}\."):
            make_folds(np.array(labels, np.int8), list(patients), 2, 0, names)


def test_one_patient_per_label():
    with pytest.raises(ValueError, match="one patient per label"):
        make_folds(np.array([0, 1]), ["A"], 2, 0)


def test_a_search_refuses_a_class_that_too_few_patients_have_by_its_name(tmp_path):
    few, none = cohort("Few", 30), cohort("None", 30, seed=1)
    few.clinical["nhg"] = ["G3"] * 2 + ["G1", "G2"] * 14
    none.clinical["nhg"] = ["G1", "G2"] * 15
    dataset = write_dataset(assembly(few, none), tmp_path / "data")
    with pytest.raises(SearchError, match=r"at least 3 patients of class G3 for 3 folds\. Received 2\. Use 2 folds"):
        training_rows(dataset, "nhg", ["Few"], 3, 0)
    with pytest.raises(SearchError, match=r"class G3 for 3 folds\. Received 0\. .* or a task without this class"):
        training_rows(dataset, "nhg", ["None"], 3, 0)
    rows = training_rows(dataset, "nhg", ["Few", "None"], 2, 0)
    assert rows.class_counts()["G3"] == 2
    assert rows.folds == make_folds(rows.labels, rows.patients, 2, 0), "names change no folds"


@pytest.mark.real
def test_real_grade_labels_are_shared_out_within_one_sample(real_data):
    from aio_tune.cohorts import read_folder
    from aio_tune.tasks import TASKS

    clinical = read_folder(real_data)[0].clinical
    labels = TASKS["nhg"].encode(clinical["nhg"])
    folds = make_folds(labels, clinical["patient_id"].to_numpy(str), 5, 0, TASKS["nhg"].classes)
    counts = np.array([np.bincount(labels[valid], minlength=3) for valid in folds.valid])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
