"""Promotions taken back, checked files, and two at once; on a real store, with real processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aio_tune.errors import GateError, RegistryError
from aio_tune.tracking import Check, audit_trail, promote, pyfunc, register_search, resolve, undo
from aio_tune.tracking import turns as turns_module
from aio_tune.tracking.turns import turn
from tests.tracking.conftest import Store, stand_in_ensemble

pytestmark = pytest.mark.slow

MODEL = "aio-her2-ensemble"


@pytest.fixture(scope="module")
def store(second_store: Store) -> Store:
    return second_store


@pytest.fixture
def client(store: Store) -> Any:
    from aio_tune.tracking.client import connect

    return connect(store.uri)


@pytest.fixture(scope="module")
def versions(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Three versions of a model nobody else in the tests uses."""
    from aio_tune.tracking.client import connect

    folder = stand_in_ensemble(tmp_path_factory.mktemp("ensembles") / "all", 1)
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyfunc, "ENTRY", "aio_tune.errors")
        for trial in range(3):
            run = connect(store.uri).create_run(store.experiment_id).info.run_id
            registration = register_search(
                store.uri, task="her2", search="s2", trial=trial, run_id=run, ensemble_folder=folder,
                fold_folders={0: folder}, metrics={"cv_auc_mean": 0.8},
            )  # fmt: skip
            made.append(registration.ensemble_version)
    return made


def holder(store: Store, alias: str) -> int:
    return resolve(store.uri, f"{MODEL}@{alias}").version


def test_undo_gives_the_alias_back_step_by_step(store: Store, versions: list[int], client: Any) -> None:
    first, second, third = versions
    for version in (first, second, third):
        promote(store.uri, MODEL, version, "champion", who="ada")
    entry = undo(store.uri, MODEL, "champion", why="worse on GSE81538", who="bob")
    assert (entry.version, entry.previous, entry.why) == (second, third, "worse on GSE81538")
    assert holder(store, "champion") == second
    promote(store.uri, MODEL, third, "champion", who="ada")
    assert [undo(store.uri, MODEL, "champion").version for _ in range(2)] == [second, first]
    assert undo(store.uri, MODEL, "champion").version is None, "nobody had it before"
    with pytest.raises(RegistryError, match="champion"):
        holder(store, "champion")
    with pytest.raises(RegistryError, match=r"to undo\. Received none"):
        undo(store.uri, MODEL, "champion")
    trail = [entry for entry in audit_trail(store.uri, MODEL) if entry.alias == "champion"]
    assert [bool(entry.undoes) for entry in trail] == [False, False, False, True, False, True, True, True]
    run = client.get_model_version(MODEL, second).run_id
    files = [file.path for file in client.list_artifacts(run, "audit")]
    kept = [json.loads(Path(client.download_artifacts(run, path)).read_text()) for path in files]
    assert [entry["version"] for entry in kept if entry["alias"] == "champion" and not entry["undoes"]] == [second]


def test_an_alias_that_something_else_moved_is_not_undone(store: Store, versions: list[int], client: Any) -> None:
    promote(store.uri, MODEL, versions[0], "candidate")
    client.set_registered_model_alias(MODEL, "candidate", str(versions[2]))
    with pytest.raises(RegistryError, match="moved by something else"):
        undo(store.uri, MODEL, "candidate")
    assert holder(store, "candidate") == versions[2]


def test_files_that_fail_move_nothing(store: Store, versions: list[int]) -> None:
    seen: list[Path] = []

    def look(folder: Path, tags: Any) -> list[Check]:
        seen.append(folder)
        assert tags["aio.folds"] == "1"
        return [Check("genes as registered", "found", 6, False)]

    before = audit_trail(store.uri, MODEL)
    with pytest.raises(GateError, match="genes as registered"):
        promote(store.uri, MODEL, versions[0], "evaluation", inspect=look)
    assert audit_trail(store.uri, MODEL) == before
    assert (seen[0] / "ensemble.json").is_file()


PROMOTE = (
    "import sys, time\n"
    "from aio_tune.errors import RegistryError\n"
    "from aio_tune.tracking import promotion\n"
    "before = promotion._record\n"
    "def slow(*given): before(*given); time.sleep(3)\n"  # long enough for the other to come
    "promotion._record = slow\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "try: promotion.promote(sys.argv[1], sys.argv[2], int(sys.argv[3]), 'evaluation', who=sys.argv[4])\n"
    "except RegistryError as error: print('refused', error)\n"
    "else: print('won')\n"
)


def test_of_two_at_once_one_is_refused(store: Store, versions: list[int], client: Any) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTE, store.uri, MODEL, str(version), who],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for version, who in ((versions[0], "ada"), (versions[1], "bob"))
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0] for process in started]
    assert sorted(word.split()[0] for word in said) == ["refused", "won"]
    winner = next(i for i, word in enumerate(said) if word.startswith("won"))
    refused = said[1 - winner]
    assert f"promotion of {MODEL} under way, by {('ada', 'bob')[winner]}" in refused
    assert holder(store, "evaluation") == versions[winner]
    last = audit_trail(store.uri, MODEL)[-1]
    assert (last.version, last.who) == (versions[winner], ("ada", "bob")[winner])
    assert not client.search_registered_models("name LIKE 'promotion%'"), "the turn was given back"


def test_a_turn_that_a_dead_process_left_is_taken_over(
    store: Store, versions: list[int], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"promotion of {MODEL} under way"
    client.create_registered_model(name, tags={"aio.turn": "dead", "aio.who": "carl"})
    with pytest.raises(RegistryError, match="by carl"):
        promote(store.uri, MODEL, versions[0], "evaluation")
    monkeypatch.setattr(turns_module, "STALE", -1.0)
    promote(store.uri, MODEL, versions[0], "evaluation")
    assert not client.search_registered_models("name LIKE 'promotion%'")


def test_a_turn_that_was_lost_is_noticed(store: Store, client: Any) -> None:
    name = f"promotion of {MODEL} under way"
    with turn(client, MODEL, "ada") as still_mine:
        still_mine()
        client.delete_registered_model(name)
        client.create_registered_model(name, tags={"aio.turn": "another"})
        with pytest.raises(RegistryError, match="Received another one"):
            still_mine()
    assert client.get_registered_model(name).tags["aio.turn"] == "another", "somebody else's turn is left alone"
    client.delete_registered_model(name)
