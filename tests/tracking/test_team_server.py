"""Against a team's MLflow: PostgreSQL behind a server with two workers that takes and gives the files itself.

Figures are shown with ``--log-cli-level=INFO``.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aio_tune.config import Home
from aio_tune.ledger import Ledger
from aio_tune.tracking import Mirror, promote, pyfunc, register_search, resolve, tracking_uri
from aio_tune.tracking.client import connect
from tests.tracking.conftest import Store, points_of, stand_in_ensemble, write_end, write_search, write_trial
from tests.tracking.team_server import TeamServer, missing, points_in, postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "nothing is missing"),
]

_log = logging.getLogger(__name__)

TRIALS = 12
OUTAGE = 60.0  # seconds
MIRRORS = 16
TRIALS_EACH = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    folder = tmp_path_factory.mktemp("team")
    with postgres(folder) as database, TeamServer(folder, database) as server:
        yield server


@dataclass(frozen=True)
class Mirrored:
    """What a store holds of one search: of the search's own run (None) and of each trial's."""

    points: dict[int | None, int]
    status: dict[int | None, str]
    texts: dict[int | None, dict[str, str]]


def mirrored(uri: str, database: str, mirror: Mirror, trials: int) -> Mirrored:
    ids: dict[int | None, str] = {None: str(mirror.search_run)}
    ids.update((trial, str(mirror.trial_run(trial))) for trial in range(trials))
    client, points = connect(uri), points_in(database)
    runs = {trial: client.get_run(run) for trial, run in ids.items()}
    return Mirrored(
        {trial: points[run] for trial, run in ids.items()},
        {trial: run.info.status for trial, run in runs.items()},
        {
            trial: run.data.params | {key: text for key, text in run.data.tags.items() if key != "mlflow.parentRunId"}
            for trial, run in runs.items()
        },
    )


def reference(ledger: Path, folder: Path, store: Store, trials: int) -> Mirrored:
    """What the same ledger leaves in a SQLite store that is opened without a server."""
    folder.mkdir()
    (folder / "ledger.jsonl").write_bytes(ledger.read_bytes())
    mirror = Mirror(folder / "ledger.jsonl", store.uri, "aio-team-reference", store.artifacts).start()
    assert mirror.close(240)
    return mirrored(store.uri, store.uri, mirror, trials)


def all_runs(client: Any, experiment: str) -> list[Any]:
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id], max_results=1000))


def test_a_search_arrives_as_in_a_store_of_ones_own(server: TeamServer, store: Store, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with Ledger(tmp_path / "run" / "ledger.jsonl") as ledger, Mirror(ledger.path, server.uri, "aio-team") as mirror:
        write_search(ledger, "team")
        for trial in range(TRIALS):
            write_trial(ledger, trial, ("COMPLETE", "COMPLETE", "PRUNED", "FAIL")[trial % 4])
        write_end(ledger, best_trial=9)
    assert mirror.behind == 0
    sent = mirrored(server.uri, server.database_uri, mirror, TRIALS)
    assert sent == reference(ledger.path, tmp_path / "alone", store, TRIALS)
    assert min(sent.points.values()) > 0
    client = connect(server.uri)
    assert sent.points[1] == points_of(client, str(mirror.trial_run(1)))  # what is in the database is also shown
    assert len(all_runs(client, "aio-team")) == TRIALS + 1
    _log.info("%d trials, %d points", TRIALS, sum(sent.points.values()))


def test_a_minute_without_the_server_loses_and_doubles_nothing(
    server: TeamServer, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    longest = 0.0  # seconds to write one trial to the ledger
    written = 0

    def write_one(state: str = "COMPLETE") -> None:
        nonlocal longest, written
        start = time.monotonic()
        write_trial(ledger, written, state)
        longest = max(longest, time.monotonic() - start)
        written += 1

    with Ledger(tmp_path / "run" / "ledger.jsonl") as ledger:
        mirror = Mirror(ledger.path, server.uri, "aio-team-outage", interval=0.02).start()
        write_search(ledger, "team-outage")
        while written < 20:
            write_one()
        while mirror.trial_run(2) is None:
            time.sleep(0.01)
        assert mirror.behind > 0
        server.stop()  # while the mirror sends
        gone = time.monotonic()
        while time.monotonic() - gone < OUTAGE:
            write_one("PRUNED" if written % 3 == 0 else "COMPLETE")
            time.sleep(2)
        assert mirror.behind > 0
        server.start()
        back = time.monotonic()
        for _ in range(5):
            write_one()
        write_end(ledger, best_trial=written - 1)
        assert mirror.flush(240), "the mirror did not come back by itself"
        caught_up = time.monotonic() - back
        assert mirror.close(60)

    assert longest < 3, "the search waited for MLflow"
    assert [record.getMessage().split(" ")[3] for record in caplog.records if "mirror" in record.name] == [
        "did",  # not take what was sent
        "has",  # taken it now
    ]
    sent = mirrored(server.uri, server.database_uri, mirror, written)
    assert sent == reference(ledger.path, tmp_path / "alone", store, written)
    runs = all_runs(connect(server.uri), "aio-team-outage")
    assert Counter(run.data.tags["aio.trial"] for run in runs) == Counter(["none", *map(str, range(written))])
    _log.info("%d trials, %d points, slowest written in %.3f s", written, sum(sent.points.values()), longest)
    _log.info("caught up %.0f s after the server was back", caught_up)


def test_models_go_to_and_come_from_the_servers_folder(
    server: TeamServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
    client = connect(server.uri)
    experiment = client.create_experiment("aio-team-models")
    assert client.get_experiment(experiment).artifact_location.startswith("mlflow-artifacts:")
    run = client.create_run(experiment).info.run_id
    whole = stand_in_ensemble(tmp_path / "ensemble", 2)
    folds = {fold: stand_in_ensemble(tmp_path / f"fold_{fold}", 1) for fold in range(2)}

    def register() -> Any:
        return register_search(
            server.uri, task="team", search="s", trial=0, run_id=run, ensemble_folder=whole, fold_folders=folds,
            metrics={"cv_auc_mean": 0.8},
        )  # fmt: skip

    registration = register()
    assert register() == registration  # adds no second version
    promote(server.uri, registration.ensemble_model, gates=["auc>0.7"])
    model = resolve(server.uri, f"{registration.ensemble_model}@evaluation", tmp_path / "cache")
    expected = {file.name: file.read_bytes() for file in whole.iterdir()}
    assert {file.name: file.read_bytes() for file in model.folder.iterdir()} == expected
    assert model.folder.is_relative_to(tmp_path / "cache")
    stored = [path.parent for path in server.destination.rglob("fold_1.keras")]
    assert [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in stored] == [expected]
    assert len(list(server.destination.rglob("MLmodel"))) == 3
    assert capsys.readouterr() == ("", "")


def mirrors_at_once(uri: str, artifacts: Path | None, folder: Path, database: str) -> dict[tuple[str, int | None], int]:
    """Follow MIRRORS ledgers at once, all started before the store knows their experiment; points per run."""
    ledgers = []
    for number in range(MIRRORS):
        (folder / str(number)).mkdir(parents=True)
        with Ledger(folder / str(number) / "ledger.jsonl") as ledger:
            write_search(ledger, f"s{number}")
            for trial in range(TRIALS_EACH):
                write_trial(ledger, trial)
            write_end(ledger, best_trial=0)
        ledgers.append(ledger.path)
    mirrors = [Mirror(ledger, uri, "aio-at-once", artifacts) for ledger in ledgers]
    start = time.monotonic()
    for mirror in mirrors:
        mirror.start()
    closing = [threading.Thread(target=mirror.close, args=(240,)) for mirror in mirrors]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
    _log.info("%d mirrors at once: %.1f s", MIRRORS, time.monotonic() - start)
    assert [mirror.behind for mirror in mirrors] == [0] * MIRRORS

    client = connect(uri)
    assert sorted(e.name for e in client.search_experiments()) == ["Default", "aio-at-once"]
    runs = all_runs(client, "aio-at-once")
    assert len(runs) == MIRRORS * (TRIALS_EACH + 1)
    assert {run.info.status for run in runs} == {"FINISHED"}
    points = points_in(database)
    return {
        (f"s{number}", trial): points[str(mirror.search_run if trial is None else mirror.trial_run(trial))]
        for number, mirror in enumerate(mirrors)
        for trial in (None, *range(TRIALS_EACH))
    }


@pytest.fixture(scope="module")
def expected_at_once(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int | None], int]:
    folder = tmp_path_factory.mktemp("one")
    with Ledger(folder / "ledger.jsonl") as ledger:
        write_search(ledger, "s0")
        for trial in range(TRIALS_EACH):
            write_trial(ledger, trial)
        write_end(ledger, best_trial=0)
    points = reference(ledger.path, folder / "alone", store, TRIALS_EACH).points
    return {(f"s{number}", trial): count for number in range(MIRRORS) for trial, count in points.items()}


def test_sixteen_mirrors_at_once_on_a_new_server(
    tmp_path: Path, expected_at_once: dict[tuple[str, int | None], int], caplog: pytest.LogCaptureFixture
) -> None:
    with postgres(tmp_path) as database, TeamServer(tmp_path, database) as server:
        assert mirrors_at_once(server.uri, None, tmp_path / "ledgers", database) == expected_at_once
    assert not [record for record in caplog.records if "refused" in record.getMessage()]


def test_sixteen_mirrors_at_once_on_a_new_file(
    tmp_path: Path,
    expected_at_once: dict[tuple[str, int | None], int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Sixteen searches are sixteen processes. As threads of one they would share MLflow's pool of fifteen connections,
    # of which each takes two at times, and wait out its half minute whenever all are held by those that need another.
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", "64")
    home = Home(tmp_path / "home")
    uri = tracking_uri(home)
    assert mirrors_at_once(uri, home.artifacts, tmp_path / "ledgers", uri) == expected_at_once
    assert not [record for record in caplog.records if "refused" in record.getMessage()]
