import json
import time
from pathlib import Path
from typing import Any

import pytest

from aio_tune.errors import SearchError
from aio_tune.ledger import Ledger
from aio_tune.tracking import Mirror
from aio_tune.tracking import mirror as mirror_module
from aio_tune.tracking.notes import read_notes
from tests.tracking.conftest import EXPERIMENT, Store, auc, points_of, write_end, write_search, write_trial

pytestmark = pytest.mark.slow


def follow(ledger: Path, store: Store) -> Mirror:
    return Mirror(ledger, store.uri, EXPERIMENT, store.artifacts, interval=0.05)


def runs_of(client: Any, store: Store, search: str) -> list[Any]:
    return list(client.search_runs([store.experiment_id], f"tags.`aio.search` = '{search}'"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Mirror:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "space.yaml").write_text("task: ki67\n")
    with Ledger(folder / "ledger.jsonl") as ledger:
        mirror = follow(ledger.path, store).start()
        write_search(ledger, "finished")
        for trial in range(3):
            write_trial(ledger, trial)
        write_trial(ledger, 3, "PRUNED")
        write_trial(ledger, 4, "FAIL")
        write_end(ledger, best_trial=2)
        assert mirror.close(60)
    return mirror


def test_trials_sorted_by_cv_auc_tell_the_story(finished: Mirror, store: Store, client: Any) -> None:
    runs = client.search_runs(
        [store.experiment_id], "tags.`aio.search` = 'finished'", order_by=["metrics.cv_auc_mean DESC"], max_results=3
    )
    assert [run.data.tags["aio.trial"] for run in runs] == ["2", "1", "0"]
    best = runs[0]
    assert best.info.run_name == "finished/0002"
    assert best.info.status == "FINISHED"
    assert best.data.params == {"learning_rate": "0.0003", "network": "aio_cnn", "fc": "[64, 32]"}
    columns = best.data.metrics
    assert columns["cv_auc_mean"] == pytest.approx(auc(2) + 0.01)
    assert columns["cv_auc_sd"] == pytest.approx(0.01)
    assert [columns[f"fold_{fold}_auc"] for fold in range(3)] == pytest.approx([auc(2) + f / 100 for f in range(3)])
    assert (columns["rung"], columns["epoch"], columns["folds"]) == (1, 5, 3)
    assert (columns["seconds"], columns["parameters"]) == (3.0, 1234)
    tags = best.data.tags
    assert tags["aio.state"] == "COMPLETE"
    assert (tags["aio.seed"], tags["aio.code_version"], tags["aio.dataset"]) == ("7", "0.1.0", "f" * 64)
    assert best.inputs.dataset_inputs[0].dataset.name == "simulated"


def test_trials_belong_to_the_search_run(finished: Mirror, store: Store, client: Any) -> None:
    children = client.search_runs([store.experiment_id], f"tags.`mlflow.parentRunId` = '{finished.search_run}'")
    assert len(children) == 5
    status = {run.data.tags["aio.trial"]: run.info.status for run in children}
    assert status == {"0": "FINISHED", "1": "FINISHED", "2": "FINISHED", "3": "KILLED", "4": "FAILED"}


def test_a_stopped_trial_has_no_cv_columns(finished: Mirror, client: Any) -> None:
    pruned = client.get_run(finished.trial_run(3))
    assert not [key for key in pruned.data.metrics if key.startswith("cv_")]
    assert pruned.data.tags["aio.reason"] == "why PRUNED"


def test_search_run_has_settings_best_trial_and_space(finished: Mirror, client: Any) -> None:
    run = client.get_run(finished.search_run)
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "7"
    assert run.data.tags["aio.best_trial"] == "2"
    assert run.data.metrics["best_value"] == pytest.approx(auc(2))
    assert run.data.metrics["trials_pruned"] == 1
    assert "cv_auc_mean" not in run.data.metrics
    assert [file.path for file in client.list_artifacts(finished.search_run)] == ["space.yaml"]


def test_times_are_the_events_own(finished: Mirror, client: Any) -> None:
    events = [json.loads(line) for line in finished._ledger.read_text().splitlines()]
    run = client.get_run(finished.trial_run(0))
    asked, *_, ended = [round(event["time"] * 1000) for event in events if event.get("trial") == 0]
    assert (run.info.start_time, run.info.end_time) == (asked, ended)


def test_notes_lost_or_old_double_nothing(tmp_path: Path, store: Store, client: Any) -> None:
    """After a kill between sending and noting, the same events are sent again: runs and points stay the same."""
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write_search(ledger, "again")
        write_trial(ledger, 0)
        first = follow(ledger.path, store).start()
        assert first.close(60)
        before = {run.info.run_id: points_of(client, run.info.run_id) for run in runs_of(client, store, "again")}
        (tmp_path / "tracking.json").unlink()
        write_trial(ledger, 1, "PRUNED")
        second = follow(ledger.path, store).start()
        assert second.close(60)
    after = {run.info.run_id: points_of(client, run.info.run_id) for run in runs_of(client, store, "again")}
    added = set(after) - set(before)
    assert added == {second.trial_run(1)}
    assert {run: after[run] for run in before if run != first.search_run} == {
        run: before[run] for run in before if run != first.search_run
    }


def test_restart_goes_on_from_the_notes(tmp_path: Path, store: Store, client: Any) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write_search(ledger, "restart")
        ledger.append("trial_asked", trial=0, params={"a": 1})
        first = follow(ledger.path, store).start()
        assert first.flush(60)
        run = first.trial_run(0)
        assert client.get_run(run).info.status == "RUNNING"
        assert first.close(60)
        ledger.append("search_resumed", unfinished=[0])
        ledger.append("trial_ended", trial=0, state="FAIL", value=None, reason="lost", cv={})
        second = follow(ledger.path, store).start()
        assert second.close(60)
    assert second.trial_run(0) == run
    assert client.get_run(run).info.status == "FAILED"
    assert len(runs_of(client, store, "restart")) == 2


def test_a_refused_write_is_reported_and_passed_over(
    tmp_path: Path, store: Store, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write_search(ledger, "refused")
        write_trial(ledger, 0)
        mirror = follow(ledger.path, store).start()
        assert mirror.flush(60)
        client.delete_run(mirror.trial_run(0))
        ledger.append("trial_ended", trial=0, state="FAIL", value=None, reason="x", cv={})
        write_trial(ledger, 1)
        assert mirror.close(60)
    assert "refused what was sent for trial 0" in caplog.text
    assert client.get_run(mirror.trial_run(1)).info.status == "FINISHED"


def test_appending_never_waits(tmp_path: Path) -> None:
    """The store is an address where nobody listens; the search is not slowed and nothing is lost."""
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        mirror = Mirror(ledger.path, "http://127.0.0.1:9", EXPERIMENT, interval=0.05).start()
        start = time.monotonic()
        write_search(ledger, "alone")
        write_trial(ledger, 0)
        assert time.monotonic() - start < 2
        assert not mirror.close(timeout=1)
        assert mirror.behind == ledger.path.stat().st_size


def test_what_mlflow_says_is_logged_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(mirror_module, "ensure_store", lambda *given: "1")  # the server dies after that
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write_search(ledger, "secret")
        mirror = Mirror(ledger.path, "http://ada:secret@127.0.0.1:9/", EXPERIMENT, interval=0.05).start()
        assert not mirror.close(timeout=2)
    assert "API request to http://ada:***@127.0.0.1:9/api" in caplog.text
    assert "ada:secret" not in caplog.text


def test_another_store_is_told_all_and_the_first_stays_known(
    tmp_path: Path, store: Store, second_store: Store, client_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With the run ids of one store every write to another would be refused for good."""
    stores = (store, second_store)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write_search(ledger, "moved")
        write_trial(ledger, 0)
        first = follow(ledger.path, store).start()
        assert first.close(60)
        assert not caplog.text
        second = follow(ledger.path, second_store).start()
        assert second.close(60)
        assert caplog.text.count("was not told of this search before") == 1
        write_trial(ledger, 1)
        back = follow(ledger.path, store)
        assert (back.search_run, back.trial_run(0)) == (first.search_run, first.trial_run(0))
        assert 0 < back.behind < ledger.path.stat().st_size, "told again of what is new alone"
        assert back.start().close(60)
        again = follow(ledger.path, second_store)
        assert again.trial_run(0) == second.trial_run(0)
        assert again.start().close(60)
    assert "refused" not in caplog.text and caplog.text.count("was not told of this search before") == 1
    counts = []
    for mirror, where in zip((back, again), stores, strict=True):
        client = client_of(where.uri)
        runs = runs_of(client, where, "moved")
        assert {run.info.run_id for run in runs} == {mirror.search_run, mirror.trial_run(0), mirror.trial_run(1)}
        assert {run.info.status for run in runs if run.data.tags["aio.trial"] != "none"} == {"FINISHED"}
        counts.append([points_of(client, str(run)) for run in (mirror.search_run, *map(mirror.trial_run, (0, 1)))])
    assert counts[0] == counts[1]
    assert all(counts[0])


def test_notes_that_name_no_store_are_on_the_present_one(tmp_path: Path, store: Store) -> None:
    """As they were written before they named one."""
    facts = {"format": 1, "offset": 9, "search_run": "a", "trial_runs": {"0": "b"}, "progress": {}}
    (tmp_path / "tracking.json").write_text(json.dumps(facts))
    mirror = follow(tmp_path / "ledger.jsonl", store)
    assert (mirror.search_run, mirror.trial_run(0)) == ("a", "b")


def test_notes_hold_no_password(tmp_path: Path) -> None:
    notes = read_notes(tmp_path / "ledger.jsonl", "http://ada:secret@mlflow:5000/")
    notes.save()
    assert json.loads((tmp_path / "tracking.json").read_text())["store"] == "http://mlflow:5000"
    other = read_notes(tmp_path / "ledger.jsonl", "http://bob:secret@other:5000")
    other.save()
    assert len(list(tmp_path.iterdir())) == 2
    assert not any("secret" in f"{file.name} {file.read_text()}" for file in tmp_path.iterdir())
    assert read_notes(tmp_path / "ledger.jsonl", "http://mlflow:5000").path == notes.path


def test_damaged_notes_are_refused(tmp_path: Path, store: Store) -> None:
    (tmp_path / "tracking.json").write_text("{")
    with pytest.raises(SearchError, match=r"tracking\.json"):
        follow(tmp_path / "ledger.jsonl", store)
