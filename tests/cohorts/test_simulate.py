"""The simulator: its files go through the readers, and are as hard as real ones."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import Cohort, assemble, find_positions, read_folder, read_positions, simulate
from aio_tune.cohorts.positions import CHROMOSOMES
from aio_tune.errors import CohortError
from aio_tune.tasks import TASKS


@pytest.fixture(scope="module")
def cohorts(simulated: Path) -> dict[str, Cohort]:
    return {cohort.name: cohort for cohort in read_folder(simulated)}


def test_counts_are_as_asked(cohorts: dict[str, Cohort], simulated: Path) -> None:
    assert {name: len(cohort.clinical) for name, cohort in cohorts.items()} == {
        "GSE96058": 60,
        "GSE96058-NextSeq": 8,
        "GSE81538": 40,
        "GSE163882": 50,
    }
    assert all(cohort.simulated for cohort in cohorts.values())
    assembly = assemble(list(cohorts.values()), read_positions(find_positions([simulated])))
    assert len(assembly.genes) == 128
    assert len(set(assembly.genes.chroms)) > 10
    rank = {chrom: i for i, chrom in enumerate(CHROMOSOMES)}
    order = [(rank[c], t) for c, t in zip(assembly.genes.chroms, assembly.genes.tss, strict=True)]
    assert order == sorted(order)


def test_it_has_the_quirks_of_the_real_files(cohorts: dict[str, Cohort]) -> None:
    first, third = cohorts["GSE96058"], cohorts["GSE163882"]
    assert 0.3 < first.clinical["ki67"].isna().mean() < 0.7
    assert first.clinical.index.str.endswith("repl").sum() == 2
    assert any("further column" in note for note in first.notes)
    assert first.expression.min() == pytest.approx(np.log2(0.1), abs=1e-4)
    assert third.clinical["patient_id"].duplicated().any()
    assert any("'tumor grage'" in note for note in third.notes)
    assert any("of the same symbol" in note for note in third.notes)
    assert any("without a symbol" in note for note in third.notes)
    assert cohorts["GSE81538"].clinical["ki67"].notna().all()


def test_signal_genes_are_recorded_and_in_the_cohorts(cohorts: dict[str, Cohort], simulated: Path) -> None:
    facts = json.loads((simulated / "simulation.json").read_text())
    assert facts["simulated"] is True
    assert facts["seed"] == 7
    signal = facts["signal_genes"]
    assert {"MKI67"} <= set(signal["proliferation"])
    assert {"ESR1"} <= set(signal["er"])
    for genes in signal.values():
        for cohort in cohorts.values():
            assert set(genes) <= set(cohort.genes)
    # The programme does move with the label: MKI67 is higher where Ki67 is positive.
    first = cohorts["GSE81538"]
    mki67 = first.expression[:, first.genes.index("MKI67")]
    codes = TASKS["ki67"].encode(first.clinical["ki67"])
    assert mki67[codes == 1].mean() > mki67[codes == 0].mean()


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_seed_decides(tmp_path: Path) -> None:
    first, again, other = (
        digests(simulate(tmp_path / name, samples=20, genes=64, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_it_writes_over_itself_but_not_over_data(tmp_path: Path) -> None:
    simulate(tmp_path / "a", samples=20, genes=64)
    simulate(tmp_path / "a", samples=(15, 12, 30), genes=48)
    assert {len(cohort.clinical) for cohort in read_folder(tmp_path / "a")} == {15, 8, 12, 30}
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "GSE96058_mine.txt").write_text("precious")
    with pytest.raises(CohortError, match="holds other files"):
        simulate(tmp_path / "b", samples=20, genes=64)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["GSE96058_mine.txt"]


@pytest.mark.parametrize(("samples", "genes"), [((5, 20, 20), 64), (20, 10), ((20, 20), 64)])
def test_too_little_is_refused(tmp_path: Path, samples: object, genes: int) -> None:
    with pytest.raises(CohortError, match=r"Expected .* Received"):
        simulate(tmp_path / "x", samples=samples, genes=genes)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_platform_shift_is_mild_for_the_second_and_strong_for_the_third(tmp_path: Path) -> None:
    folder = simulate(tmp_path / "s", samples=(60, 60, 60), genes=512)
    assembly = assemble(read_folder(folder), read_positions(find_positions([folder])))
    means = {cohort.name: cohort.expression.mean(axis=0) for cohort in assembly.cohorts}
    r = {name: float(np.corrcoef(means["GSE96058"], mean)[0, 1]) for name, mean in means.items()}
    assert r["GSE96058-NextSeq"] > 0.97
    assert r["GSE81538"] > 0.96
    assert 0.6 < r["GSE163882"] < 0.9


@pytest.mark.slow
def test_it_is_as_hard_as_the_real_cohort(tmp_path: Path) -> None:
    """Per-gene z-score, PCA 50, logistic regression, 5-fold: Ki67 AUC .85 to .90 on average over seeds."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = []
    for seed in range(6):
        folder = simulate(tmp_path / str(seed), seed=seed)
        assembly = assemble(read_folder(folder), read_positions(find_positions([folder])))
        cohort = assembly.cohorts[0]
        codes = TASKS["ki67"].encode(cohort.clinical["ki67"])
        known = codes >= 0
        model = make_pipeline(StandardScaler(), PCA(50, random_state=0), LogisticRegression(max_iter=2000))
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        p = cross_val_predict(model, cohort.expression[known], codes[known], cv=folds, method="predict_proba")
        scores.append(roc_auc_score(codes[known], p[:, 1]))
    assert 0.84 < float(np.mean(scores)) < 0.90
