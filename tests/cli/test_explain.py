"""explain: the table, the picture and what is said of them; the registry is stood in for by a folder."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import aio_tune.tracking
import aio_tune.training
from aio_tune.dataset import AioDataset, open_dataset
from aio_tune.models.ensemble import Ensemble
from aio_tune.models.ensemble_files import EnsembleSpec, Member, hash_patients
from aio_tune.preprocess import Preprocessor
from tests.cli.conftest import Run
from tests.evaluation.linear_networks import reading


@pytest.fixture
def dataset(aio: Run, simulated: Path, tmp_path: Path) -> AioDataset:
    status, _, err = aio("prepare", simulated, "--out", tmp_path / "dataset")
    assert status == 0, err
    return open_dataset(tmp_path / "dataset")


@pytest.fixture
def gene(dataset: AioDataset, simulated: Path) -> str:
    """A gene that carries signal; the network reads no other."""
    signal = json.loads((simulated / "simulation.json").read_text())["signal_genes"]["proliferation"]
    return next(symbol for symbol in signal if symbol in dataset.genes)


@pytest.fixture
def model(dataset: AioDataset, gene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    x, samples = dataset.matrix(["GSE96058"]), dataset.samples(["GSE96058"])
    members = []
    for fold, layout in enumerate(("square", "1d")):
        fitted = Preprocessor.fit("zscore", layout, x, seed=0)
        files = Member(fold, tmp_path / f"{fold}.keras", tmp_path / f"{fold}.npz")
        reading(fitted, {dataset.genes.index(gene): 1.0}).save(files.model)
        fitted.save(files.preprocessing)
        members.append(files)
    patients = hash_patients(samples["patient_id"][samples["ki67"].notna()])
    spec = EnsembleSpec("ki67", ("negative", "positive"), dataset.genes, x.mean(axis=0), patients, frozenset())
    Ensemble.save(tmp_path / "ensemble", members, spec)

    def resolve(uri: str, reference: str) -> SimpleNamespace:
        return SimpleNamespace(folder=tmp_path / "ensemble", name="aio-ki67-ensemble", version=1)

    monkeypatch.setattr(aio_tune.tracking, "resolve", resolve)
    # A process sets its backend up once, and this one has.
    monkeypatch.setattr(aio_tune.training, "configure_backend", lambda threads: None)
    return "aio-ki67-ensemble@evaluation"


def test_table_picture_and_what_is_said(
    aio: Run, model: str, dataset: AioDataset, gene: str, simulated: Path, tmp_path: Path
) -> None:
    out = tmp_path / "genes.csv"
    words = ("explain", model, "--data", dataset.path, "--out", out, "--signal", simulated / "simulation.json")
    status, said, err = aio(*words)
    assert (status, err) == (0, "")
    assert "Completeness error of the sums: median 0.0" in said
    assert "Linear weights: PCA + logistic regression, fitted on" in said
    assert "share of the top 50 genes that carry signal (simulated)" in said
    lines = [line.split() for line in said.splitlines()]
    first = next(line for line in lines if line[:1] == [gene])
    assert first[3:7] == ["+", "1.0", "0.0", "2"]
    table = pd.read_csv(out)
    assert table["symbol"][0] == gene and len(table) == len(dataset.genes)
    assert {"chromosome", "tss", "folds_in_top_50", "rank_fold_1", "linear_weight_positive"} <= set(table.columns)
    assert list(table.columns[-2:]) == ["method", "model"], "behind what earlier readers know"
    assert set(table["method"]) == {"integrated-gradients"}
    assert set(table["model"]) == {"aio-ki67-ensemble version 1"}
    assert (table["folds_in_top_50"] > 0).sum() == 1
    assert (tmp_path / "genes.png").read_bytes()[:4] == b"\x89PNG"

    status, said, _ = aio(*words, "--json", "--samples", 9, "--cohort", "GSE81538", "--method", "occlusion")
    facts = json.loads(said)
    assert (status, facts["samples"], facts["cohorts"]) == (0, 9, ["GSE81538"])
    assert facts["completeness_error"] is None
    assert facts["top"][0]["symbol"] == gene and len(facts["top"]) == 20
    assert facts["precision_at_50"]["proliferation"]["network"] >= 1 / 50


def test_failures_are_one_line(aio: Run, model: str, dataset: AioDataset, tmp_path: Path) -> None:
    words = ("explain", model, "--data", dataset.path)
    for more, message in (
        (("--out", tmp_path / "genes.csv", "--cohort", "Z"), "Expected cohorts of the dataset"),
        (("--out", tmp_path / "genes.csv", "--method", "lime"), "Expected a method"),
        (("--out", tmp_path / "genes.png"), "Expected a table to write"),
        (("--out", tmp_path / "nowhere" / "genes.csv"), "in a folder that is there"),
    ):
        status, _, err = aio(*words, *more)
        assert status == 1 and message in err and err.count("\n") == 1
    assert not np.any([path.suffix == ".png" for path in tmp_path.iterdir()])
    assert aio(*words, "--out", tmp_path / "genes.csv", "--samples", 0)[0] == 2


@pytest.mark.parametrize(("out", "received"), [("there", "there, a folder"), ("drawn.csv", "drawn.png, a folder")])
def test_where_no_table_can_be_written_nothing_is_explained(aio: Run, tmp_path: Path, out: str, received: str) -> None:
    for folder in ("there", "drawn.png"):
        (tmp_path / folder).mkdir()
    words = ("explain", "aio-nhg-ensemble@evaluation", "--data", tmp_path / "no_dataset", "--out", tmp_path / out)
    status, _, err = aio(*words)
    assert (status, err.count("\n")) == (1, 1)
    assert f"Received {tmp_path}/{received}." in err
