"""The study of harmonisers: trains real networks, small ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from aio_tune.cohorts import Assembly, Cohort, GeneTable
from aio_tune.dataset import AioDataset, write_dataset
from aio_tune.errors import EvaluationError, OverlapError, RegistryError
from aio_tune.evaluation.harmonisation import Study, _training, choose, study
from aio_tune.harmonise import HARMONISERS, SINGLE_SAMPLE
from aio_tune.models.ensemble import Ensemble
from aio_tune.models.ensemble_files import EnsembleSpec, hash_patients
from aio_tune.tasks import TASKS
from tests.evaluation.conftest import GENES, make_cohort

PARAMS = {
    "branches": "embedding", "embedding_width": 8, "fc_widths": [8], "batch_norm": False, "learning_rate": 1e-2,
    "input_dropout": 0.0,
}  # fmt: skip


def model(dataset: AioDataset, cohort: str = "A", genes: tuple[str, ...] = GENES, **origin: object) -> Ensemble:
    """An ensemble as far as a study looks at one: what it says of itself, and of how many networks it is."""
    samples = dataset.samples([cohort])
    spec = EnsembleSpec(
        task="nhg",
        classes=TASKS["nhg"].classes,
        genes=genes,
        gene_means=np.zeros(len(genes), np.float32),
        training_patients=hash_patients(samples["patient_id"]),
        training_profiles=frozenset(samples["profile_sha256"]),
        origin={"params": PARAMS, "epochs": 6, **origin},
    )
    return Ensemble(spec, [(None, None)] * 3)  # type: ignore[list-item]


def shifted(cohort: Cohort, labels: pd.Series | None = None) -> Cohort:
    """Another platform: flattened, moved gene by gene, and noisy; with other labels if wanted."""
    rng = np.random.default_rng(5)
    x = 5 + 0.6 * (cohort.expression - 5) + rng.normal(0, 1.5, len(GENES)) + rng.normal(0, 0.5, cohort.expression.shape)
    clinical = cohort.clinical if labels is None else cohort.clinical.assign(nhg=labels.to_numpy())
    return replace(cohort, expression=x.clip(0).astype(np.float32), clinical=clinical, subjects=clinical)


def written(folder, labels: pd.Series | None = None) -> AioDataset:
    cohorts = [make_cohort("A", 90, 0), shifted(make_cohort("B", 60, 1), labels), make_cohort("C", 9, 2)]
    genes = GeneTable(GENES, ("1",) * len(GENES), np.arange(len(GENES)), "positions.tsv", "f" * 64)
    return write_dataset(Assembly(cohorts, genes, {}), folder / "dataset")


@pytest.mark.slow
def test_the_choice_does_not_look_at_the_targets_labels(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All networks, rehearsals and the choice are the same where the target's labels are turned round."""
    dataset = written(tmp_path_factory.mktemp("true"))
    told: list[tuple[int, int]] = []
    found = study(model(dataset), dataset, "B", watch=lambda done, of: told.append((done, of)))
    assert told == [(i, len(HARMONISERS)) for i in range(1, len(HARMONISERS) + 1)]
    _check(found)
    labels = dataset.samples(["B"])["nhg"].map({"G1": "G3", "G2": "G2", "G3": "G1"})
    other_dataset = written(tmp_path_factory.mktemp("other"), labels)
    other = study(model(other_dataset), other_dataset, "B")
    assert other.chosen == found.chosen
    for one, turned in zip(found.outcomes, other.outcomes, strict=True):
        assert (one.inside, one.rehearsed) == (turned.inside, turned.rehearsed)
        assert one.outside != turned.outside
        assert one.ensemble[0] > 0.5 > turned.ensemble[0]


def _check(found: Study) -> None:
    assert {one.harmoniser for one in found.outcomes} == set(HARMONISERS)
    kinds = [one.transductive for one in found.outcomes]
    assert kinds == sorted(kinds), "single-sample members first"
    assert (found.trained_on, found.tested_on, found.folds, found.epochs, found.own) == (90, 60, 3, 6, "none")
    single = {one.harmoniser: one.rehearsed[0] for one in found.outcomes if not one.transductive}
    assert tuple(single) == SINGLE_SAMPLE
    assert found.chosen in (max(single, key=lambda name: single[name]), "none")
    plain = found.outcomes[0]
    assert found.lost == pytest.approx(plain.inside[0] - plain.outside[0])
    assert plain.won_back == 0
    for one in found.outcomes:
        assert 0 <= one.rehearsed[0] <= 1
        assert one.ensemble[1] <= one.ensemble[0] <= one.ensemble[2]
        assert one.won_back == pytest.approx((one.outside[0] - plain.outside[0]) / found.lost)


def test_the_choice_by_hand() -> None:
    none = [0.60, 0.70, 0.65, 0.61]
    gained = [0.70, 0.78, 0.77, 0.71]  # gains .10, .08, .12, .10: standard error .008
    assert choose({"none": none, "rank": none, "denoise": gained}) == "denoise"
    unsure = [0.70, 0.61, 0.75, 0.53]  # gains .10, -.09, .10, -.08: mean .0075, standard error .054
    assert choose({"none": none, "denoise": unsure}) == "none"
    assert choose({"none": none, "rank": [value - 0.1 for value in none]}) == "none"
    assert choose({"none": none, "rank": none}) == "none", "what changes nothing is not chosen"


def test_networks_see_the_models_genes_in_its_order(tmp_path) -> None:
    dataset = written(tmp_path)
    genes = (*GENES[20:5:-1], "GENE_X", *GENES[:3])
    training = _training(model(dataset, genes=genes), dataset, "B", TASKS["nhg"], 0, 0, 0)
    columns = [GENES.index(gene) for gene in genes if gene in GENES]
    assert len(columns) == 18 and training.missing_genes == ("GENE_X",)
    for found, cohort in ((training.x, "A"), (training.target, "B")):
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, dataset.matrix([cohort])[:, columns])
    with pytest.raises(RegistryError, match=r"at most 10% of the 33 genes .* without 4 of them \(X0, X1, X2, \.\.\.\)"):
        study(model(dataset, genes=(*GENES[1:], "X0", "X1", "X2", "X3")), dataset, "B")


def test_what_cannot_be_studied_is_refused(tmp_path) -> None:
    dataset = written(tmp_path)
    with pytest.raises(EvaluationError, match=r"says its configuration and epochs.*--epochs"):
        study(model(dataset, epochs=0), dataset, "B")
    with pytest.raises(EvaluationError, match=r"one of A, B, C\. Received 'D'"):
        study(model(dataset), dataset, "D")
    with pytest.raises(OverlapError, match="Received A, 90 of whose 90"):
        study(model(dataset), dataset, "A")
    with pytest.raises(EvaluationError, match=r"at least 10 samples of C\. Received 9"):
        study(model(dataset), dataset, "C")
    with pytest.raises(EvaluationError, match=r"at least 10 validation samples in every fold.*Use fewer folds"):
        study(model(dataset), dataset, "B", folds=12)
    patients = frozenset(f"{i:064x}" for i in range(200))
    stranger = Ensemble(replace(model(dataset).spec, training_patients=patients), [])
    with pytest.raises(EvaluationError, match=r"at least 80% of the model's training patients.*Received 0 of"):
        study(stranger, dataset, "B")
