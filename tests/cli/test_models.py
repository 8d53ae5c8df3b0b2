"""models, promote, evaluate, predict: what they say where there is nothing, or nothing yet."""

from pathlib import Path

import pytest

import aio_tune.tracking
from aio_tune.tracking import ModelSummary
from tests.cli.conftest import Run


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
