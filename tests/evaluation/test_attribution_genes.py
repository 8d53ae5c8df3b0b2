"""From networks to a table of genes: ranks, agreement of folds, the linear model beside them."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from aio_tune.errors import EvaluationError
from aio_tune.evaluation import LogisticOnComponents
from aio_tune.evaluation.attribution.explain import correlation, explain
from aio_tune.evaluation.attribution.signal import precisions, read_signal
from aio_tune.evaluation.attribution.stability import agree, precision_at
from aio_tune.models import build
from aio_tune.models.ensemble_files import hash_patients
from aio_tune.preprocess import Preprocessor
from aio_tune.tasks import TASKS
from tests.evaluation.conftest import GENES
from tests.evaluation.linear_networks import ensemble_of, reading

MODEL_GENES = (*GENES, "GENE_X")


def test_stability_by_hand():
    found = agree(np.array([[4.0, 3.0, 2.0, 0.0], [1.0, 5.0, 5.0, 0.0], [0.0, 9.0, 0.0, 0.0]]), top=2)
    assert found.ranks.tolist() == [[1, 2, 3, 4], [3, 1.5, 1.5, 4], [3, 1, 3, 3]]
    assert found.mean_rank.tolist() == pytest.approx([7 / 3, 1.5, 2.5, 11 / 3])
    assert found.rank_sd.tolist() == pytest.approx([math.sqrt(4 / 3), 0.5, math.sqrt(0.75), math.sqrt(1 / 3)])
    assert found.in_top.tolist() == [1, 3, 1, 0]
    assert found.stability.tolist() == pytest.approx([1 / 3, 1, 1 / 3, 0])


def test_what_gets_nothing_is_never_among_the_top():
    assert agree(np.array([[0.0, 0.0, 1.0]]), top=50).in_top.tolist() == [0, 0, 1]


def test_one_network_has_no_sd():
    assert np.isnan(agree(np.ones((1, 3))).rank_sd).all()


def test_precision_by_hand():
    ranks, relevant = np.array([3.0, 1.0, 2.0, 4.0]), np.array([True, True, False, False])
    assert [precision_at(ranks, relevant, top) for top in (1, 2, 3, 50)] == pytest.approx([1, 0.5, 2 / 3, 0.5])


def test_correlation_by_hand():
    x = np.array([[1.0, 1, 2], [2, 1, 5], [3, 1, 1]])
    y = np.array([[2.0, 4, 2], [4, 5, 9], [6, 6, 0]])
    expected = np.corrcoef(x[:, 2], y[:, 2])[0, 1]
    assert correlation(x, y).tolist() == pytest.approx([1, 0, expected])


@pytest.fixture(scope="module")
def training(dataset):
    """The training rows of the ensembles, with a gene that the dataset lacks."""
    x = dataset.matrix(["A"])
    return np.concatenate([x, np.random.default_rng(0).normal(5, 1, (len(x), 1)).astype(np.float32)], axis=1)


def two_folds(dataset, training, layouts=("shuffled", "1d"), **facts):
    """Both read gene 3; the first also gene 8, against the class, the second gene 20, weakly."""
    fitted = [Preprocessor.fit("zscore", layout, training, seed=i) for i, layout in enumerate(layouts)]
    reads = [{3: 2.0, 8: -1.0}, {3: 2.0, 20: 0.5}]
    members = [(reading(one, genes), one) for one, genes in zip(fitted, reads, strict=True)]
    samples = dataset.samples(["A"])
    patients = hash_patients(samples["patient_id"][samples["ki67"].notna()])
    return ensemble_of(members, MODEL_GENES, training.mean(axis=0), patients=patients, **facts)


@pytest.fixture(scope="module")
def explanation(dataset, training):
    return explain({"m": two_folds(dataset, training)}, dataset, ["B"], samples=1000)


def test_what_every_fold_reads_stands_before_what_one_reads(dataset, training, explanation):
    table = explanation.table.set_index("symbol")
    assert explanation.table["symbol"][:3].tolist() == ["GENE3", "GENE8", "GENE20"]
    assert set(table.index) == set(MODEL_GENES)
    assert table["folds_in_top_50"].to_dict() == {
        g: {"GENE3": 2, "GENE8": 1, "GENE20": 1}.get(g, 0) for g in table.index
    }
    assert table.loc["GENE8", ["rank_fold_0", "rank_fold_1"]].tolist() == [2, (3 + 31) / 2]
    assert table.loc["GENE8", "stability"] == 0.5
    x = dataset.matrix(["B"])
    for gene, weight, folds in (("GENE3", 2, 2), ("GENE8", -1, 1), ("GENE20", 0.5, 1)):
        i = GENES.index(gene)
        parts = weight * (x[:, i] - training[:, i].mean()) / training[:, i].std() * folds / 2
        assert table.loc[gene, "attribution"] == pytest.approx(np.abs(parts).mean(), rel=1e-3)
        assert table.loc[gene, "signed_positive"] == pytest.approx(parts.mean(), rel=1e-3)
        assert table.loc[gene, "direction_positive"] == pytest.approx(math.copysign(folds / 2, weight), rel=1e-3)
    assert explanation.completeness.max() < 0.01 and explanation.completeness.size == 2 * 60
    assert (explanation.classes, explanation.cohorts, explanation.n_samples) == (("positive",), ("B",), 60)


def test_places_and_a_gene_that_the_dataset_lacks(explanation):
    table = explanation.table.set_index("symbol")
    assert (table.loc["GENE7", "chromosome"], table.loc["GENE7", "tss"]) == ("1", 7)
    assert explanation.missing_genes == ("GENE_X",)
    assert table.loc["GENE_X", "chromosome"] == "" and pd.isna(table.loc["GENE_X", "tss"])
    assert table.loc["GENE_X", "attribution"] == 0


def test_linear_weights_are_those_of_the_baseline_on_the_training_patients(dataset, training, explanation):
    labels = TASKS["ki67"].encode(dataset.samples(["A"])["ki67"])
    whole = training.copy()
    whole[:, -1] = training[:, -1].mean()  # the gene that the dataset lacks
    known = labels >= 0
    weights = LogisticOnComponents.fit(whole[known], labels[known], TASKS["ki67"].classes, 0).weights()[1]
    table = explanation.table.set_index("symbol")
    np.testing.assert_allclose(table.loc[list(GENES), "linear_weight_positive"], weights[:30], rtol=1e-3, atol=1e-6)
    best = int(np.abs(weights).argmax())
    assert table.loc[MODEL_GENES[best], "linear_rank"] == 1
    assert explanation.linear_note.startswith("Linear weights: PCA + logistic regression, fitted on 60 samples of ")


@pytest.mark.parametrize("task", ["ki67", "nhg"])
def test_linear_weights_are_the_slopes_of_the_linear_terms(dataset, task):
    labels = TASKS[task].encode(dataset.samples(["A"])[task])
    x, labels = dataset.matrix(["A"])[labels >= 0], labels[labels >= 0]
    fitted = LogisticOnComponents.fit(x, labels, TASKS[task].classes, 0)
    weights, p = fitted.weights(), fitted.predict(x)
    assert weights.shape == (len(TASKS[task].classes), 30)
    standardised = (x - x.mean(axis=0)) / x.std(axis=0)
    linear = standardised @ weights.T
    found = linear[:, 1] if task == "ki67" else linear[:, 2] - linear[:, 0]
    terms = np.log(p[:, -1] / p[:, 0])
    np.testing.assert_allclose(found - found[0], terms - terms[0], atol=1e-3)


def test_no_linear_weights_without_the_training_patients(dataset, training):
    ensemble = two_folds(dataset, training)
    facts = {"patients": frozenset({"0" * 64})}
    stranger = ensemble_of(ensemble.members, MODEL_GENES, training.mean(axis=0), **facts)
    found = explain({"m": stranger}, dataset, ["C"])
    assert found.linear_note.startswith("No linear weights: the dataset has 0 of the model's 1 training patients")
    assert found.table[["linear_weight_positive", "linear_rank"]].isna().all(axis=None)


def test_every_class_of_more_than_two(dataset, training):
    fitted = Preprocessor.fit("zscore", "square", training, seed=0)
    members = [(reading(fitted, {4: 1.0}, n_classes=3), fitted)]
    ensemble = ensemble_of(members, MODEL_GENES, training.mean(axis=0), task="nhg", classes=TASKS["nhg"].classes)
    found = explain({"m": ensemble}, dataset)
    row = found.table.set_index("symbol").loc["GENE4"]
    assert found.cohorts == ("A",) and found.classes == ("G1", "G2", "G3")
    assert row["direction_G3"] > 0.9 and row["direction_G1"] < -0.9
    assert row["attribution"] == pytest.approx(np.mean([row[f"attribution_{g}"] for g in found.classes]))
    assert row["rank_fold_0"] == 1 and found.table["attribution"][1:].max() < 1e-6
    assert math.isnan(row["rank_sd"])


def test_models_of_several_seeds_are_further_members(dataset, training, explanation):
    one, other = two_folds(dataset, training), two_folds(dataset, training, layouts=("square", "stacked"))
    both = explain({"a@x": one, "b@x": other}, dataset, ["B"], samples=1000)
    assert both.networks == ("model_1_fold_0", "model_1_fold_1", "model_2_fold_0", "model_2_fold_1")
    found, alone = both.table.set_index("symbol"), explanation.table.set_index("symbol")
    assert found.loc["GENE3", "folds_in_top_50"] == 4
    np.testing.assert_allclose(found["attribution"], alone.loc[found.index, "attribution"], atol=1e-4)


def test_samples_are_drawn_with_the_seed_over_cohorts(dataset, training):
    ensemble = {"m": two_folds(dataset, training)}
    found = [explain(ensemble, dataset, ["A", "C"], samples=7, seed=seed) for seed in (1, 1, 2)]
    assert [one.n_samples for one in found] == [7, 7, 7]
    pd.testing.assert_frame_equal(
        found[0].table.drop(columns="linear_rank"), found[1].table.drop(columns="linear_rank")
    )
    assert found[0].table["attribution"][0] != found[2].table["attribution"][0]


def test_progress_is_told_per_network(dataset, training):
    told = []
    explain({"m": two_folds(dataset, training)}, dataset, ["C"], watch=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("cohorts", "changed", "message"),
    [
        (["Z"], {}, r"Expected cohorts of the dataset, each once, of A, B, C\. Received Z"),
        (["A", "A"], {}, "each once"),
        (["A"], {"samples": 0}, "Expected a model and a sample, or more"),
        (["A"], {"method": "lime"}, "Expected a method, one of integrated-gradients, grad-cam, occlusion"),
        (["A"], {"method": "grad-cam"}, "Expected a network with convolutions"),
    ],
)
def test_what_cannot_be_explained_is_refused(dataset, training, cohorts, changed, message):
    with pytest.raises(EvaluationError, match=message):
        explain({"m": two_folds(dataset, training)}, dataset, cohorts, **changed)


def test_models_of_other_genes_do_not_go_together(dataset, training):
    one = two_folds(dataset, training)
    other = ensemble_of(one.members, (*GENES, "GENE_Y"), training.mean(axis=0))
    with pytest.raises(EvaluationError, match="Expected models of one task and the same genes and kinds"):
        explain({"a": one, "b": other}, dataset)


def test_a_transductive_harmoniser_gets_whole_cohorts(dataset, training):
    fitted = Preprocessor.fit("zscore", "square", training, seed=0, harmoniser="cohort_zscore")
    ensemble = ensemble_of([(reading(fitted, {3: 1.0}), fitted)], MODEL_GENES, training.mean(axis=0))
    found = explain({"m": ensemble}, dataset, ["B"], samples=3)  # fewer samples than it needs, of a cohort large enough
    assert found.n_samples == 3 and found.table["symbol"][0] == "GENE3"


def test_pictures_mark_chromosomes_only_in_their_order(dataset, training):
    fitted = {layout: two_folds(dataset, training, layouts=(layout, "1d")) for layout in ("square", "shuffled")}
    square, shuffled = (explain({"m": one}, dataset, ["C"]).drawing for one in fitted.values())
    assert shuffled.chromosome is None
    assert square.chromosomes == ("1", "")
    assert square.chromosome.ravel().tolist() == [0] * 30 + [1] + [-1] * 5
    assert square.mean.shape == square.attributions["positive"].shape == (6, 6, 1)
    drawn = square.attributions["positive"].ravel()
    assert set(np.flatnonzero(np.abs(drawn) > 1e-6)) == {3, 8, 20}
    assert drawn[3] > 0 > drawn[8]


def test_grad_cam_says_where_and_not_what_for(dataset, training):
    fitted = Preprocessor.fit("zscore", "square", training, seed=0)
    network = build({"filters": 2, "depth": 1, "embedding_width": 4, "fc_widths": (4,)}, fitted.shape, 2, seed=1)
    ensemble = ensemble_of([(network, fitted)], MODEL_GENES, training.mean(axis=0))
    found = explain({"m": ensemble}, dataset, ["C"], method="grad-cam")
    assert found.completeness is None and not found.drawing.signed
    assert found.table["direction_positive"].isna().all()
    assert (found.drawing.attributions["positive"] >= 0).all() and found.drawing.attributions["positive"].any()


def test_genes_of_further_kinds_have_rows_of_their_own(dataset, training):
    random = np.random.default_rng(0)
    both = np.concatenate([training, random.uniform(0, 1, training.shape).astype(np.float32)], axis=1)
    fitted = Preprocessor.fit("zscore", "square", both, seed=0, kinds=("expression", "methylation"))
    members = [(reading(fitted, {3: 1.0}), fitted)]
    ensemble = ensemble_of(members, MODEL_GENES, training.mean(axis=0), omics={"methylation": "beta"})
    found = explain({"m": ensemble}, dataset, ["C"])
    table = found.table.set_index("symbol")
    assert set(table.index) == {*MODEL_GENES, *(f"methylation:{gene}" for gene in MODEL_GENES)}
    assert found.table["symbol"][0] == "GENE3"
    assert table.loc["methylation:GENE7", ["chromosome", "tss"]].tolist() == ["1", 7]
    assert not table["attribution"].drop("GENE3").any()


def test_signal_genes_among_the_top(tmp_path):
    file = tmp_path / "simulation.json"
    file.write_text(json.dumps({"signal_genes": {"er": ["G0"], "proliferation": ["G1", "G59"]}}))
    names = [f"G{i}" for i in range(60)]
    table = pd.DataFrame(
        {"symbol": names, "mean_rank": range(60), "rank_fold_0": range(60), "rank_fold_1": range(59, -1, -1),
         "rank_sd": 1.0, "linear_rank": range(59, -1, -1)}
    )  # fmt: skip
    found = precisions(table, read_signal(file))
    assert found["er"] == pytest.approx({"network": 1 / 50, "fold": 0.5 / 50, "linear": 0, "chance": 1 / 60})
    assert found["any"]["network"] == 2 / 50
    assert math.isnan(precisions(table.assign(linear_rank=np.nan), read_signal(file))["er"]["linear"])


@pytest.mark.parametrize("text", ["", "[]", '{"signal_genes": 3}', "{}"])
def test_a_file_without_signal_genes_is_refused(tmp_path, text):
    (tmp_path / "simulation.json").write_text(text)
    with pytest.raises(EvaluationError, match="Expected signal_genes of a simulation"):
        read_signal(tmp_path / "simulation.json")
