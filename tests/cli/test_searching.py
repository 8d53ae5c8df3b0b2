"""search and leaderboard: what they say, and what they keep; that a search runs is in tests/test_end_to_end.py."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import aio_tune.evaluation
import aio_tune.metrics
import aio_tune.tracking
from aio_tune.cli import comparing, searching
from aio_tune.config import Home
from aio_tune.errors import SearchError
from aio_tune.files import read_json
from aio_tune.ledger import Ledger
from aio_tune.search.geometry import Geometry
from tests.cli.conftest import Run
from tests.tracking.conftest import write_search

URI = "http://ada:secret@mlflow:5000"
SHOWN = "--tracking-uri 'http://ada:***@mlflow:5000'"


def test_a_job_is_found_again_without_the_password(aio: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(searching, "search_as_job", lambda *given: told.extend(given))
    words = ("search", "nhg.yaml", "--data", "/d", "--name", "one", "--home", "/h", "--address", "http://head:8265")
    status, out, err = aio(*words, "--tracking-uri", URI)
    assert (status, err) == (0, "")
    _, _, there, _, _, rejoin = told
    assert URI in there, "the job needs it"
    assert SHOWN in rejoin and "secret" not in rejoin
    assert "MLFLOW_TRACKING_PASSWORD" in out and "secret" not in out
    assert "MLFLOW" not in aio(*words, "--tracking-uri", "http://mlflow:5000")[1]


def test_a_search_is_resumed_without_the_password(aio: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def stand_in(*given: object, **more: object) -> None:
        told.update(more)
        raise SearchError("Interrupted.", str(more["resume_command"]))

    monkeypatch.setattr(searching, "search_and_register", stand_in)
    status, out, err = aio("search", "nhg.yaml", "--data", "d", "--home", tmp_path, "--tracking-uri", URI)
    assert status == 1
    assert told["tracking_uri"] == URI
    assert SHOWN in err and "secret" not in out + err


def test_a_store_that_does_not_answer_is_named_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = SimpleNamespace(ended="budget spent", best=None)
    run = SimpleNamespace(begun=lambda folder: False, run_search=lambda *given, **more: state)
    monkeypatch.setitem(sys.modules, "aio_tune.search.run", run)
    monkeypatch.setitem(sys.modules, "aio_tune.search.finish", SimpleNamespace(register_winner=None))
    silent = SimpleNamespace(flush=lambda timeout: False)
    monkeypatch.setattr(aio_tune.tracking, "Mirror", lambda *given: nullcontext(silent))
    monkeypatch.setattr(aio_tune.tracking, "ensure_store", lambda *given: "1")
    spec: Any = SimpleNamespace(task="nhg", trials=1, metric="auc", rungs=[(1, 1)])
    nothing: Any = None
    with pytest.raises(SearchError, match=r"ada:\*\*\*@mlflow:5000 does not answer"):
        searching._search_with_mirror(spec, nothing, nothing, Home(tmp_path), "one", URI, "local", False, "again", True)


def test_what_is_next_names_the_store_and_the_home_folder(capsys: pytest.CaptureFixture[str]) -> None:
    ensemble = {"name": "aio-nhg-ensemble", "version": 1}
    state: Any = SimpleNamespace(registered={"ensemble": ensemble, "folds": {"versions": [1]}})
    searching.print_registered(state, ["--home", "here"])
    assert "Next: aio-tune promote aio-nhg-ensemble --to evaluation --home here\n" in capsys.readouterr().out


def test_a_leaderboard_without_trials(aio: Run, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    with Ledger(folder / "ledger.jsonl") as ledger:
        write_search(ledger, "one")
    assert aio("leaderboard", "one", "--home", tmp_path) == (0, "one: no trial yet.\n", "")
    assert aio("leaderboard", "one", "--home", tmp_path, "--json") == (0, "[]\n", "")


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compares a search without trials; gives the rows, and counts how often a baseline was trained."""
    trained: list[str] = []
    monkeypatch.setattr(aio_tune.evaluation, "BASELINES", [SimpleNamespace(name="single best gene")])
    monkeypatch.setattr(aio_tune.evaluation, "cross_validate", lambda one, *given, seed: trained.append(one.name))
    monkeypatch.setattr(aio_tune.metrics, "mean_sd", lambda folds: {"auc": (0.75, 0.125)})
    settings = {"seed": 0, "task": "nhg", "folds": 5}
    state: Any = SimpleNamespace(started={"settings": settings, "class_counts": {}}, best=None)
    task = SimpleNamespace(classes=("a", "b"))
    rows: Any = SimpleNamespace(expression=lambda: None, labels=None, folds=None, task=task)

    def compare() -> tuple[Any, int]:
        found = comparing.compare_with_baselines(state, rows, tmp_path / "baseline.json", Geometry(None))
        return found["rows"], len(trained)

    return compare


@pytest.mark.parametrize("left", ["", '{"single best g'])
def test_baselines_cut_short_on_a_full_disk_are_trained_again(compared: Any, tmp_path: Path, left: str) -> None:
    (tmp_path / "baseline.json").write_text(left)
    rows, times = compared()
    assert rows == {"single best gene": {"auc": (0.75, 0.125)}} and times == 1
    again, times = compared()
    assert again == {"single best gene": {"auc": [0.75, 0.125]}} and times == 1, "they were kept"


def test_baselines_are_kept_whole_or_not_at_all(compared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            compared()
    assert not list(tmp_path.iterdir())
    assert compared()[1] == 2
    assert read_json(tmp_path / "baseline.json") == {"single best gene": {"auc": [0.75, 0.125]}}
