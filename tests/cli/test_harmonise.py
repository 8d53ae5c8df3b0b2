"""harmonise: what it prints and writes of a study; the study itself is tested in ``tests/evaluation``."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import aio_tune.dataset
import aio_tune.evaluation.harmonisation
import aio_tune.models.ensemble
import aio_tune.tracking
import aio_tune.training
from aio_tune.cli.harmonising import _print, _table
from aio_tune.errors import RegistryError
from aio_tune.evaluation.harmonisation import Outcome, Study
from tests.cli.conftest import Run


def outcome(name: str, outside: float, won_back: float, transductive: bool = False) -> Outcome:
    return Outcome(name, transductive, (0.8, 0.02), (0.7, 0.03), (outside, 0.01), (0.7, 0.6, 0.8), won_back)


def study(lost: float = 0.2, own: str = "none") -> Study:
    back = math.nan if lost <= 0 else 0.5
    outcomes = (outcome("none", 0.6, 0.0), outcome("denoise", 0.7, back), outcome("fsqn", 0.65, back / 2, True))
    return Study("nhg", "B", 100, 50, 5, 20, own, lost, "denoise", outcomes)


def test_both_kinds_apart_and_what_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    _print(study(), "m@evaluation")
    out = capsys.readouterr().out
    single, _, rest = out.partition("transductive: the whole cohort is needed at once")
    assert "single-sample: one new patient can be called alone" in single
    assert "> denoise" in single and "fsqn" not in single and "fsqn" in rest
    assert "The shift costs 0.200 of AUC without a harmoniser; denoise wins 50% of that back, on 50 samples." in rest
    assert "--set space.harmoniser=denoise" in rest


def test_where_nothing_was_lost_nothing_is_won_back(capsys: pytest.CaptureFixture[str]) -> None:
    _print(study(lost=-0.05, own="denoise"), "m@evaluation")
    out = capsys.readouterr().out
    assert "as well as the training patients (+0.050): there is nothing to win back" in " ".join(out.split())
    assert "nan" not in out and "--set space.harmoniser" not in out


def test_genes_that_the_networks_did_without_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    _print(replace(study(), missing_genes=("A", "B")), "m@evaluation")
    assert "2 genes of the model are missing in the dataset; these networks did without." in capsys.readouterr().out
    _print(study(), "m@evaluation")
    assert "missing" not in capsys.readouterr().out


def test_a_store_that_refuses_takes_no_result_with_it(
    aio: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise RegistryError("Expected a store. Received none.")

    monkeypatch.setattr(aio_tune.dataset, "open_dataset", lambda path: None)
    monkeypatch.setattr(aio_tune.evaluation.harmonisation, "study", lambda *given, **more: study())
    monkeypatch.setattr(aio_tune.models.ensemble.Ensemble, "load", lambda folder: None)
    monkeypatch.setattr(aio_tune.tracking, "resolve", lambda uri, reference: SimpleNamespace(folder=tmp_path))
    monkeypatch.setattr(aio_tune.tracking, "log_harmonisation", refuse)
    monkeypatch.setattr(aio_tune.training, "configure_backend", lambda threads: None)
    words = ("harmonise", "m@evaluation", "--data", tmp_path, "--cohort", "B", "--out", tmp_path / "t.csv")
    status, out, err = aio(*words)
    assert (status, err) == (1, "aio-tune: Expected a store. Received none.\n")
    assert "> denoise" in out and f"written: {tmp_path}/t.csv" in out
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 4
    (tmp_path / "t.csv").unlink()
    status, out, err = aio(*words, "--json")
    assert (status, json.loads(out)["chosen"], len(err.splitlines())) == (1, "denoise", 1)
    assert (tmp_path / "t.csv").is_file()


def test_the_table_has_a_row_for_each_harmoniser() -> None:
    table = _table(study()).set_index("harmoniser")
    assert table["kind"].tolist() == ["single-sample", "single-sample", "transductive"]
    assert table["chosen"].tolist() == [False, True, False]
    assert table.loc["denoise", ["outside_auc_mean", "outside_auc_sd", "ensemble_auc_low", "won_back"]].tolist() == [
        0.7, 0.01, 0.6, 0.5,
    ]  # fmt: skip


def test_a_folder_that_is_not_there_is_told_before_the_work(aio: Run, tmp_path: Path) -> None:
    status, _, err = aio(
        "harmonise", "m@evaluation", "--data", tmp_path, "--cohort", "B", "--out", tmp_path / "no" / "t.csv"
    )
    assert status == 1
    assert "such as harmonisers.csv, in a folder that is there" in err
