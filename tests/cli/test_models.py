"""models, promote, evaluate, predict: what they say; registry and networks are stood in for."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import aio_tune.models.ensemble
import aio_tune.tracking
import aio_tune.training
from aio_tune.cohorts import Assembly, GeneTable
from aio_tune.dataset import AioDataset, write_dataset
from aio_tune.errors import RegistryError
from aio_tune.tracking import ModelSummary
from tests.cli.conftest import Run
from tests.evaluation.conftest import GENES, LinearModel, make_cohort


def test_where_nothing_was_searched_nothing_is_made(aio: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = aio("models")
    assert (status, err) == (0, "")
    assert "No model is registered here yet" in out
    for words in (("promote", "aio-nhg-ensemble", "--to", "evaluation"),
                  ("predict", "aio-nhg-ensemble@evaluation", "new.csv", "--out", "calls.csv")):  # fmt: skip
        status, _, err = aio(*words)
        assert (status, err.count("\n")) == (1, 1)
        assert f"{tmp_path}/aio_home/mlflow.db. Received the name of a file that is not there" in err
    assert not list(tmp_path.iterdir())


def test_a_model_without_versions_has_a_row_that_says_so(
    aio: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration cut short between the model and its first version leaves one."""
    monkeypatch.setattr(aio_tune.tracking, "list_models", lambda uri: [ModelSummary("aio-nhg", {}, ())])
    status, out, err = aio("models", "--home", tmp_path)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].split() == ["aio-nhg", "no", "version", "-", "-", "-"]


def test_where_no_calls_can_be_written_no_model_is_asked(aio: Run, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "nowhere" / "calls.csv"):
        status, _, err = aio("predict", "aio-nhg-ensemble@evaluation", "new.csv", "--out", out, "--home", tmp_path)
        assert (status, err.count("\n")) == (1, 1)
        assert f"Expected a file to write, such as calls.csv, in a folder that is there. Received {out}" in err


@pytest.fixture
def dataset(tmp_path: Path) -> AioDataset:
    cohorts = [make_cohort("A", 80, 0), make_cohort("B", 60, 1)]
    genes = GeneTable(GENES, ("1",) * len(GENES), np.arange(len(GENES)), "positions.tsv", "f" * 64)
    return write_dataset(Assembly(cohorts, genes, {}), tmp_path / "dataset")


@pytest.fixture
def kept(dataset: AioDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, object]]:
    """What ``evaluate`` hands to the store, of a model that was trained on A."""
    kept: list[dict[str, object]] = []
    found = SimpleNamespace(folder=tmp_path, name="aio-nhg-ensemble", version=3)
    monkeypatch.setattr(aio_tune.tracking, "resolve", lambda uri, reference: found)
    monkeypatch.setattr(aio_tune.tracking, "log_evaluation", lambda *given, **more: kept.append(more))
    monkeypatch.setattr(aio_tune.training, "configure_backend", lambda threads: None)
    model = LinearModel.trained_on(dataset.samples(["A"]))
    monkeypatch.setattr(aio_tune.models.ensemble.Ensemble, "load", lambda folder: model)
    return kept


WORDS = ("evaluate", "aio-nhg-ensemble@evaluation", "--cohort", "B", "--data")


def test_an_evaluation_says_where_profiles_cannot_be_compared(
    aio: Run, dataset: AioDataset, kept: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "looked for by id alone: profiles can be compared only where the dataset's genes are the model's"
    status, out, err = aio(*WORDS, dataset.path)
    assert (status, err) == (0, "")
    assert said in out
    monkeypatch.setattr(LinearModel, "genes", GENES)
    assert said not in aio(*WORDS, dataset.path)[1]
    assert json.loads(aio(*WORDS, dataset.path, "--json")[1])["profiles_compared"] is True
    assert [more["simulated"] for more in kept] == [False] * 3


def test_a_store_that_refuses_takes_no_evaluation_with_it(
    aio: Run, dataset: AioDataset, kept: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise RegistryError("Expected a store. Received none.")

    monkeypatch.setattr(aio_tune.tracking, "log_evaluation", refuse)
    status, out, err = aio(*WORDS, dataset.path)
    assert (status, err) == (1, "aio-tune: Expected a store. Received none.\n")
    assert "ensemble [95 % interval]" in out
    status, out, _ = aio(*WORDS, dataset.path, "--json")
    assert (status, json.loads(out)["cohort"]) == (1, "B")


def test_genes_that_a_file_lacks_are_told(aio: Run, kept: list[dict[str, object]], tmp_path: Path) -> None:
    tpm = np.random.default_rng(0).dirichlet(np.full(330, 0.5), 2) * 1e6
    frame = pd.DataFrame(tpm, ["s1", "s2"], [*GENES, *(f"OTHER{i}" for i in range(300))])
    frame.drop(columns=["GENE29"]).to_csv(tmp_path / "new.csv")
    words = ("predict", "aio-nhg-ensemble@evaluation", "--unit", "TPM", "--out", tmp_path / "calls.csv")
    status, out, err = aio(*words, tmp_path / "new.csv")
    assert (status, err) == (0, "")
    first, note = out.splitlines()
    assert "2 samples called by aio-nhg-ensemble version 3" in first
    assert note.startswith("2 genes of the model are missing in new.csv (GENE29, GENE_X); its training means stand in")
    assert note.endswith("Former symbols in the file are the likely cause.")
    frame.assign(GENE_X=1.0).to_csv(tmp_path / "new.csv")
    assert len(aio(*words, tmp_path / "new.csv")[1].splitlines()) == 1
