import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from aio_tune.errors import EvaluationError, OverlapError
from aio_tune.evaluation import BASELINES, LogisticOnComponents, check_unseen, evaluate
from aio_tune.metrics import bootstrap_intervals, metric_names
from aio_tune.tasks import TASKS
from tests.evaluation.conftest import GENES, LinearModel


@pytest.fixture(scope="module")
def model(dataset):
    return LinearModel.trained_on(dataset.samples(["A"]))


@pytest.fixture(scope="module")
def evaluation(dataset, model):
    return evaluate(model, dataset, "B", bootstrap=100)


def frame(dataset, cohort):
    return pd.DataFrame(dataset.matrix([cohort]), columns=list(GENES))


def test_ensemble_and_folds_are_scikit_learns_figures(dataset, model, evaluation):
    y = TASKS["nhg"].encode(dataset.samples(["B"])["nhg"])
    prediction = model.predict(frame(dataset, "B"))

    def auc(p):
        return roc_auc_score(
            y, p.astype(np.float64) / p.sum(axis=1, keepdims=True), multi_class="ovr", average="weighted"
        )

    calls = prediction.probabilities.argmax(axis=1)
    assert evaluation.ensemble["accuracy"][0] == pytest.approx(accuracy_score(y, calls))
    assert evaluation.ensemble["auc"][0] == pytest.approx(auc(prediction.probabilities))
    folds = [auc(p) for p in prediction.fold_probabilities]
    assert evaluation.folds["auc"] == pytest.approx((np.mean(folds), np.std(folds, ddof=1)))
    assert evaluation.confusion.sum(axis=1).tolist() == list(evaluation.class_counts.values())
    assert np.trace(evaluation.confusion) / 60 == pytest.approx(evaluation.ensemble["accuracy"][0])
    assert evaluation.missing_genes == ("GENE_X",)


def test_intervals_are_drawn_over_patients(dataset, evaluation):
    samples = dataset.samples(["B"])
    assert evaluation.n == 60 and evaluation.n_patients == samples["patient_id"].nunique() == 55
    expected = bootstrap_intervals(
        evaluation.labels, evaluation.probabilities, evaluation.classes, groups=samples["patient_id"], n=100
    )
    for name, (value, low, high) in evaluation.ensemble.items():
        assert (low, high) == expected[name]
        assert low <= value <= high


def test_majority_is_that_of_the_cohort(dataset, evaluation):
    counts = dataset.samples(["B"])["nhg"].value_counts()
    assert evaluation.majority_class == counts.idxmax()
    assert evaluation.majority["accuracy"] == pytest.approx(counts.max() / 60)
    assert evaluation.majority["auc"] == 0.5


def test_baseline_is_fitted_on_the_models_own_training_rows(dataset, evaluation):
    a = TASKS["nhg"].encode(dataset.samples(["A"])["nhg"])
    p = LogisticOnComponents.fit(dataset.matrix(["A"]), a, TASKS["nhg"].classes, seed=0).predict(dataset.matrix(["B"]))
    b = TASKS["nhg"].encode(dataset.samples(["B"])["nhg"])
    assert set(evaluation.baselines) == {one.name for one in BASELINES} - {"majority class"}
    plain = evaluation.baselines[LogisticOnComponents.name]
    assert plain["accuracy"][0] == pytest.approx(accuracy_score(b, p.argmax(axis=1)))
    for found in evaluation.baselines.values():
        assert set(found) == set(evaluation.ensemble)
        assert all(low <= value <= high for value, low, high in found.values())


def test_training_rows_are_found_across_cohorts_and_without_unlabelled_rows(dataset):
    model = LinearModel.trained_on(dataset.samples(["A", "C"]), "ki67")
    evaluation = evaluate(model, dataset, "B", bootstrap=10)
    samples = dataset.samples(["A", "C"])
    y = TASKS["ki67"].encode(samples["ki67"])
    x = dataset.matrix(["A", "C"])
    p = LogisticOnComponents.fit(x[y >= 0], y[y >= 0], TASKS["ki67"].classes, seed=0).predict(dataset.matrix(["B"]))
    known = dataset.samples(["B"])["ki67"].notna().to_numpy()
    truth = TASKS["ki67"].encode(dataset.samples(["B"])["ki67"][known])
    assert evaluation.baselines[LogisticOnComponents.name]["auc"][0] == pytest.approx(roc_auc_score(truth, p[known, 1]))
    assert (evaluation.n, evaluation.n_unlabelled) == (45, 15)
    assert evaluation.calls["sample_id"].tolist() == dataset.samples(["B"])["sample_id"][known].tolist()


@pytest.mark.parametrize(("elsewhere", "there"), [(18, True), (19, False)])  # 75 of 93 is over 80 %, of 94 below
def test_baseline_needs_four_fifths_of_the_training_patients(dataset, elsewhere, there):
    here = LinearModel.trained_on(dataset.samples(["A"])).training_patients
    model = LinearModel("nhg", here | {f"{i:064x}" for i in range(elsewhere)})
    evaluation = evaluate(model, dataset, "B", bootstrap=10)
    assert f"75 of the model's {75 + elsewhere} training patients" in evaluation.baseline_note
    assert bool(evaluation.baselines) == there
    if not there:
        assert not any(name.startswith("pca_logistic") for name in evaluation.flat_metrics())
        assert evaluation.as_dict()["baselines"] == {}


@pytest.mark.parametrize("patients", [frozenset(), frozenset({"0" * 64})])
def test_no_baseline_without_any_training_patient(dataset, patients):
    evaluation = evaluate(LinearModel("nhg", patients), dataset, "B", bootstrap=10)
    assert evaluation.baselines == {}
    assert evaluation.baseline_note.startswith("No baseline: the dataset has 0 of the model's")


def test_no_baseline_of_one_class_is_a_note_not_a_crash(dataset):
    samples = dataset.samples(["A"])
    model = LinearModel.trained_on(samples[(samples["nhg"] == "G1") & ~samples["patient_id"].duplicated(keep=False)])
    evaluation = evaluate(model, dataset, "B", bootstrap=10)
    assert evaluation.baselines == {}
    assert "at least two classes for the baseline. Received 1." in evaluation.baseline_note


def test_baseline_sees_the_models_genes_alone(dataset, monkeypatch):
    model = LinearModel.trained_on(dataset.samples(["A"]))
    monkeypatch.setattr(LinearModel, "genes", GENES[:12])
    y = {name: TASKS["nhg"].encode(dataset.samples([name])["nhg"]) for name in ("A", "B")}
    x = {name: dataset.matrix([name])[:, :12] for name in ("A", "B")}
    p = LogisticOnComponents.fit(x["A"], y["A"], TASKS["nhg"].classes, seed=0).predict(x["B"])
    evaluation = evaluate(model, dataset, "B", bootstrap=10)
    assert evaluation.baselines[LogisticOnComponents.name]["auc"][0] == pytest.approx(
        roc_auc_score(y["B"], p, multi_class="ovr", average="weighted")
    )
    assert evaluation.baseline_note.endswith("12 genes.")


def test_rows_of_calls_probabilities_and_labels_belong_together(dataset, evaluation):
    samples = dataset.samples(["B"]).set_index("sample_id")
    calls = evaluation.calls
    assert list(calls.columns) == ["sample_id", "call", "p_G1", "p_G2", "p_G3", "truth"]
    assert calls["truth"].tolist() == samples.loc[calls["sample_id"], "nhg"].tolist()
    assert [evaluation.classes[i] for i in evaluation.labels] == calls["truth"].tolist()
    assert calls[["p_G1", "p_G2", "p_G3"]].to_numpy() == pytest.approx(evaluation.probabilities)
    assert (calls["call"] == calls["truth"]).mean() == pytest.approx(evaluation.ensemble["accuracy"][0])


def test_a_cohort_of_the_training_is_refused(dataset, model):
    with pytest.raises(OverlapError) as caught:
        evaluate(model, dataset, "A")
    assert "A, 80 of whose 80 samples were in training (80 by patient id, 80 by profile)" in str(caught.value)
    assert "A:S0, A:S1, A:S2, ..." in str(caught.value)
    assert "\n" not in str(caught.value) and caught.value.hint


def test_one_patient_or_one_profile_is_enough(dataset):
    samples = dataset.samples(["B"])
    by_patient = LinearModel.trained_on(samples[samples["patient_id"] == "B:P7"])
    check_unseen(by_patient, dataset.samples(["C"]), "C")
    other_profile = LinearModel("nhg", by_patient.training_patients)
    with pytest.raises(OverlapError, match=r"1 of whose 60 .* \(1 by patient id, 0 by profile\): B:S7\."):
        evaluate(other_profile, dataset, "B")
    other_name = LinearModel("nhg", frozenset(), by_patient.training_profiles)
    with pytest.raises(OverlapError, match=r"\(0 by patient id, 1 by profile\): B:S7\."):
        evaluate(other_name, dataset, "B")


def test_an_unlabelled_patient_of_the_training_counts_too(dataset):
    samples = dataset.samples(["B"])
    unlabelled = samples[samples["ki67"].isna()].head(1).assign(ki67="positive")
    with pytest.raises(OverlapError, match="B:S0"):
        evaluate(LinearModel.trained_on(unlabelled, "ki67"), dataset, "B")


def test_what_cannot_be_evaluated_is_refused(dataset):
    with pytest.raises(EvaluationError, match=r"HER2 status \(her2\)\. Received labels of ki67, nhg only\."):
        evaluate(LinearModel("her2"), dataset, "B")
    with pytest.raises(EvaluationError, match=r"one of A, B, C\. Received 'Z'\."):
        evaluate(LinearModel(), dataset, "Z")

    class Other(LinearModel):
        @property
        def classes(self):
            return ("low", "high")

    with pytest.raises(EvaluationError, match=r"G1, G2, G3\. Received one of low, high"):
        evaluate(Other(), dataset, "B")


def test_everything_can_be_logged_and_printed(evaluation):
    flat = evaluation.flat_metrics()
    for name in metric_names(evaluation.classes):
        for key in (name, f"{name}_low", f"{name}_high", f"fold_{name}_mean", f"fold_{name}_sd", f"majority_{name}"):
            assert isinstance(flat[key], float)
        assert {f"{one.key}_{name}" for one in BASELINES} | {
            f"boosting_{name}_low",
            f"boosting_{name}_high",
        } <= flat.keys()
    again = json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))
    assert again["ensemble"]["auc"] == list(evaluation.ensemble["auc"])
    assert again["confusion"] == evaluation.confusion.tolist()
    assert again["folds"]["auc"] == list(evaluation.folds["auc"])
    assert "calls" not in again


def test_two_figures_of_one_name_are_refused(evaluation):
    low = dataclasses.replace(evaluation, ensemble={**evaluation.ensemble, "auc_low": (0.9, 0.8, 1.0)})
    with pytest.raises(ValueError, match=r"a name of its own\. Received auc_low twice\."):
        low.flat_metrics()


def test_profiles_are_compared_where_the_genes_are_the_models(dataset, model, monkeypatch):
    assert not evaluate(model, dataset, "B", bootstrap=2).profiles_compared, "GENE_X"
    for genes, compared in ((GENES, True), (GENES[::-1], False), (GENES[:-1], False)):
        monkeypatch.setattr(LinearModel, "genes", genes)
        assert evaluate(model, dataset, "B", bootstrap=2).profiles_compared == compared


def test_one_class_alone_has_no_auc(dataset, monkeypatch):
    samples = dataset.samples(["C"])
    monkeypatch.setattr(type(dataset), "samples", lambda self, cohorts=None: samples.assign(nhg="G2"), raising=True)
    evaluation = evaluate(LinearModel(), dataset, "C", bootstrap=10)
    assert all(math.isnan(value) for value in evaluation.ensemble["auc"]) and evaluation.majority["accuracy"] == 1
    assert math.isnan(evaluation.folds["auc"][0]) and math.isnan(evaluation.flat_metrics()["auc"])
    assert evaluation.as_dict()["ensemble"]["auc"] == [None, None, None]
    json.dumps(evaluation.as_dict(), allow_nan=False)
