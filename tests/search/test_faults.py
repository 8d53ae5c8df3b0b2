"""What a search does when the machines under it fail: real faults in real clusters, no mocks.

One head node without CPUs stands for the whole module; each test adds the nodes that it is going to hurt. What a
search must come to in spite of all is what an undisturbed one came to: trials are drawn at random and none is pruned,
so that they are the same in whatever order they end.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from aio_tune.config import Home
from aio_tune.errors import SearchError, TrialError
from aio_tune.ledger import Ledger
from aio_tune.search.director import Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.leaderboard import leaderboard, read_state
from aio_tune.search.study import OptunaStudy
from aio_tune.search_space import load_space
from aio_tune.trial import TRIES, Assignment, RungReport, TrialContext, TrialRun, WorkerPool
from aio_tune.trial.worker import WARM_UP
from tests.mlflow_runs import trial_runs
from tests.place import PATIENCE, Place, is_alive
from tests.search.small_trials import PARAMS, context_of

# Every search starts TensorFlow at least once: 6 to 16 s on a machine of two cores, and more on a busy one.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Start = Callable[[list[str]], psutil.Popen]
Node = Callable[..., Any]
Pools = Callable[[TrialContext], WorkerPool]

ENGINE = Path(__file__).with_name("engine.py")
MIB = 2**20
GIB = 2**30

SPACE = """
task: nhg
folds: 2
trials: 3
rungs: [[1, 1], [2, 30]]
sampler: random
pruner: none
deterministic: true
space:
  branches: embedding
  embedding_width: {choice: [4, 8]}
  embedding_l2: {choice: [1.0e-3, 10.0]}
  fc_widths: [8, 4]
  batch_size: 4
  optimizer: {choice: [adam, sgd]}
  learning_rate: {float: [1e-3, 1.0], log: true}
start:
  # The penalty's gradient is twenty times the weights: each step makes them nineteen times as large.
  - {optimizer: sgd, learning_rate: 1.0, embedding_l2: 10.0, embedding_width: 4}
  - {optimizer: adam, learning_rate: 1.0e-2, embedding_l2: 1.0e-3, embedding_width: 8}
  - {optimizer: adam, learning_rate: 3.0e-3, embedding_l2: 1.0e-3, embedding_width: 4}
"""
DIVERGES = 0


class Faults(Place):
    """Searches that are started, and what becomes of them."""

    def search(self, name: str, address: str, home: Path, *more: object) -> list[str]:
        words = ("--data", self.dataset, "--name", name, "--address", address, "--home", home)
        return self.command("search", self.space, *words, *more)

    def engine(self, name: str, address: str, *more: object) -> list[str]:
        """The search alone, which starts sooner than the command."""
        return [sys.executable, *map(str, (ENGINE, self.space, self.dataset, self.home, name, address, *more))]

    def rungs(self, name: str) -> list[tuple[int, int]]:
        return [(event["trial"], event["rung"]) for event in self.events(name, "rung_reported")]

    def outcome(self, name: str, home: Path | None = None) -> dict[int, dict[str, Any]]:
        """The leaderboard, by trial; what depends on the machine's speed is left out."""
        rows = leaderboard(read_state(Home(home or self.home), name))
        return {row["trial"]: {key: row[key] for key in row if key != "seconds"} for row in rows}


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a command; what still runs when the test ends is killed."""
    with contextlib.ExitStack() as stack:

        def run(command: list[str]) -> psutil.Popen:
            process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            stack.callback(end, process)
            return process

        yield run


def end(process: psutil.Popen) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
    process.wait()
    process.stderr.close()


def wait_for(what: Callable[[], Any], driver: psutil.Popen, pause: float = 0.05) -> Any:
    """What ``what`` returns once that is something; the search must not end before."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(pause)
    return found


def ends_well(driver: psutil.Popen) -> None:
    _, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, err


def titled(title: str) -> list[psutil.Process]:
    """Ray's processes below this one with that in their title, which Ray changes to what they are doing."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if title in "".join(process.cmdline()):
                found.append(process)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    place = Faults(tmp_path_factory.mktemp("faults"), SPACE)
    for words in (
        ("simulate", place.geo, "--samples", 90, "--genes", 128, "--seed", 3),
        ("prepare", place.geo, "--out", place.dataset),
    ):
        place.run(*words)
    return place


@pytest.fixture(scope="module")
def head() -> Iterator[Any]:
    """A cluster of one node that no trial fits on: the drivers' place."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # As a cluster that others have set up; with 1, Ray itself hides the GPUs from those that asked for none.
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # How long the head waits for a node that is silent.
        sooner = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500}
        arguments = {"num_cpus": 0, "object_store_memory": 80 * MIB, "include_dashboard": False}
        # None is any: of one that another Ray has, Ray 2.60 leaves a socket open.
        more = {"dashboard_port": None, "_system_config": sooner}
        cluster = Cluster(initialize_head=True, head_node_args={**arguments, **more})
        yield cluster
        cluster.shutdown()


@pytest.fixture
def add_node(head: Any) -> Iterator[Node]:
    """Adds a node to the cluster; it goes when the test ends."""
    nodes = []

    def add(**arguments: Any) -> Any:
        nodes.append(head.add_node(**{"num_cpus": 1, "object_store_memory": 80 * MIB, **arguments}))
        return nodes[-1]

    yield add
    for node in nodes:
        if node in head.worker_nodes:
            head.remove_node(node, allow_graceful=False)
    head.wait_for_nodes()


@pytest.fixture
def driver(head: Any) -> Iterator[None]:
    """This process as a driver of the cluster."""
    import ray

    ray.init(address=head.address, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def calm(place: Faults, head: Any) -> Faults:
    """After an undisturbed search."""
    node = head.add_node(num_cpus=1, object_store_memory=80 * MIB)
    done = subprocess.run(place.engine("calm", head.address), capture_output=True, text=True, check=False)
    head.remove_node(node, allow_graceful=False)
    head.wait_for_nodes()
    assert done.returncode == 0, done.stderr
    return place


def test_a_loss_that_is_not_finite_fails_the_trial_alone(calm: Faults) -> None:
    rows = calm.outcome("calm")
    assert [rows[trial]["state"] for trial in sorted(rows)] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert "Expected a finite loss" in rows[DIVERGES]["reason"]
    assert "smaller learning rate" in rows[DIVERGES]["reason"]


def test_a_lost_node_costs_a_rung_not_a_trial(calm: Faults, head: Any, add_node: Node, start: Start) -> None:
    nodes = {raylet_of(node): node for node in (add_node(), add_node())}
    driver = start(calm.engine("bereft", head.address))
    trained_by = process_of(wait_for(lambda: calm.events("bereft", "rung_reported"), driver)[0])
    head.remove_node(nodes[trained_by.ppid()], allow_graceful=False)
    ends_well(driver)
    assert not trained_by.is_running()
    assert calm.outcome("bereft") == calm.outcome("calm")
    assert sorted(calm.rungs("bereft")) == sorted(calm.rungs("calm")), "no rung is trained or counted twice"


def raylet_of(node: Any) -> int:
    """Process id of the part of a node that starts its workers."""
    return int(node.all_processes["raylet"][0].process.pid)


def process_of(report: dict[str, Any]) -> psutil.Process:
    """The one that trained the first fold of a rung."""
    return psutil.Process(int(report["where"]["0"].rpartition(":")[2]))


@pytest.mark.parametrize("victims", ["a fold", "everything"])
def test_the_memory_monitor_kills(calm: Faults, head: Any, add_node: Node, start: Start, victims: str) -> None:
    """A node is short of memory by what its monitor was told; the machine itself has plenty."""
    memory = psutil.virtual_memory()
    limit = memory.total - memory.available + 5 * GIB
    if limit + GIB > 0.75 * memory.total:
        pytest.skip("too little free memory to spare 6 GiB for this test")
    settings = {"RAY_memory_usage_threshold": f"{limit / memory.total:.4f}", "RAY_memory_monitor_refresh_ms": "200"}
    if victims == "a fold":
        # Otherwise the monitor goes on until 5% of the machine's memory are free again. On a small node that is
        # everybody, the trials' coordinators included, of which Tune cannot bear to lose one in this way.
        settings["RAY_max_kill_memory_buffer_bytes"] = "1"
    slots = 2 if victims == "a fold" else 1
    add_node(num_cpus=slots, env_vars=settings)

    name = f"short-by-{victims.replace(' ', '-')}"
    driver = start(calm.engine(name, head.address))
    wait_for(lambda: len(titled("ray::FoldWorker")) == slots, driver)
    wait_for(lambda: titled("FoldWorker.train"), driver)
    workers, coordinators = titled("ray::FoldWorker"), titled("Trainable")
    assert len(workers) == len(coordinators) == slots
    with held(workers):
        ballast = Ballast()
        # Past the limit by less than one process has, or else a second one would have to go.
        wait_for(lambda: ballast.rise_to(limit + 64 * MIB) and not all(map(is_alive, workers)), driver)
        ballast.drop()
        time.sleep(0.5)
    alive = sum(map(is_alive, coordinators))
    ends_well(driver)
    assert alive == (2 if victims == "a fold" else 0)
    assert calm.outcome(name) == calm.outcome("calm")
    assert sorted(calm.rungs(name)) == sorted(calm.rungs("calm"))


@contextlib.contextmanager
def held(processes: list[psutil.Process]) -> Iterator[None]:
    """Processes that do nothing for a while, so that what they were doing is not over too soon."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


class Ballast:
    """Memory that is taken to make it short."""

    def __init__(self) -> None:
        self._taken: list[bytes] = []

    def rise_to(self, level: int) -> bool:
        """Take what is missing to a level of the machine's use, 8 GiB at most; always true."""
        memory = psutil.virtual_memory()
        missing = level - (memory.total - memory.available)
        for _ in range(min(missing // (32 * MIB), 256 - len(self._taken))):
            self._taken.append(b"\x01" * (32 * MIB))
        return True

    def drop(self) -> None:
        self._taken.clear()


def test_a_process_killed_every_time_fails_the_trial_alone(
    calm: Faults, head: Any, add_node: Node, start: Start
) -> None:
    add_node()
    driver = start(calm.engine("cursed", head.address))
    for _ in range(TRIES):
        for victim in wait_for(lambda: titled("FoldWorker.train"), driver, pause=0.01):
            victim.kill()
            victim.wait()
    ends_well(driver)
    cursed, spared = calm.outcome("cursed"), calm.outcome("calm")
    assert cursed[0]["state"] == "FAIL"
    assert f"lost {TRIES} times running" in cursed[0]["reason"]
    assert {trial: row["cv_auc_mean"] for trial, row in cursed.items() if trial} == {
        trial: row["cv_auc_mean"] for trial, row in spared.items() if trial
    }


def test_a_torn_line_of_a_killed_driver(calm: Faults, head: Any, add_node: Node, start: Start) -> None:
    add_node()
    driver = start(calm.engine("torn", head.address))
    wait_for(lambda: len(calm.rungs("torn")) == 2, driver)
    orphans = titled("ray::FoldWorker")
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(orphans, timeout=60)
    assert not alive, "what a killed driver started ends by itself"
    with (calm.home / "runs" / "torn" / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"kind": "rung_reported", "time": 17')
    ends_well(start(calm.engine("torn", head.address, "--resume")))
    assert calm.outcome("torn") == calm.outcome("calm")
    assert sorted(calm.rungs("torn")) == sorted(calm.rungs("calm"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB; a search of these leaves one or two."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command here")
    if done.returncode:
        pytest.skip(f"may not mount a disk of its own: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_the_search_and_fails_no_trial(
    calm: Faults, head: Any, add_node: Node, start: Start, small_disk: Path, tmp_path: Path
) -> None:
    add_node()
    # MLflow's store is elsewhere, as a team's server is.
    database = tmp_path / "mlflow.db"
    command = calm.search("full", head.address, small_disk, "--tracking-uri", f"sqlite:///{database}")
    driver = start(command)
    ledger = small_disk / "runs" / "full" / "ledger.jsonl"
    wait_for(lambda: ledger.exists() and '"rung_reported"' in ledger.read_text(), driver)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(MIB)):
            pass
    _, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 1, err
    # The mirror, too, keeps its place in the run's folder, and reports of itself.
    said = [line for line in err.strip().splitlines() if not line.startswith("MLflow at ")]
    assert len(said) == 1, err
    assert "full" in said[0] or "No space left" in said[0]
    assert "resume" in said[0]
    failed = [row["trial"] for row in calm.outcome("full", small_disk).values() if row["state"] == "FAIL"]
    assert set(failed) <= {DIVERGES}

    ballast.unlink()
    ends_well(start([*command, "--resume"]))
    rows = calm.outcome("full", small_disk)
    assert rows == calm.outcome("calm")
    tracked = trial_runs(database)
    runs = {run["name"]: {"status": run["status"], "reason": run["reason"]} for run in tracked}
    assert len(runs) == len(tracked)
    assert set(runs) == {f"full/{trial:04d}" for trial in rows}, "one run for each trial, none doubled"
    assert runs[f"full/{DIVERGES:04d}"] == {"status": "FAILED", "reason": rows[DIVERGES]["reason"]}


@pytest.fixture
def pools() -> Iterator[Pools]:
    """Makes pools, whose workers end with the test."""
    with contextlib.ExitStack() as stack:

        def make(context: TrialContext) -> WorkerPool:
            pool = WorkerPool(context)
            stack.callback(pool.close)
            return pool

        yield make


@pytest.mark.usefixtures("driver")
def test_training_rows_without_a_class_fail_the_trial_at_once(pools: Pools, add_node: Node, tmp_path: Path) -> None:
    add_node(num_cpus=2)
    context = context_of(tmp_path, folds_in_parallel=2, rungs=((2, 100_000),))
    rows = np.arange(64)
    first = (rows[context.labels == 0], rows[context.labels == 1])
    context = replace(context, splits=((first, context.splits[0][1]),))
    trial = TrialRun(context, pools(context), Assignment(0, PARAMS))
    with pytest.raises(TrialError, match="Received none of positive"):
        trial.next_rung()
    # The other fold's process must not go on to write into the folder of a trial that has ended.
    _, alive = psutil.wait_procs(titled("FoldWorker.train"), timeout=10)
    assert not alive


@pytest.mark.usefixtures("driver")
def test_a_lost_coordinator_is_tried_again_but_not_for_ever(place: Faults, add_node: Node, tmp_path: Path) -> None:
    """Ray Tune and the director with trials that train nothing."""
    from aio_tune.search.tuning import TRIAL_TRIES, TrialTrainable, run_trials

    class Mortal(TrialTrainable):
        """Trial 1 is lost each time it is at its second rung, trial 2 once, when it is given a used coordinator."""

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._number, self._rung = new_config["trial"], 0
            first = tmp_path / "lost"
            if self._number == 2 and not first.exists():
                first.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return True

        def step(self) -> dict[str, Any]:
            if (self._number, self._rung) == (1, 1):
                os.kill(os.getpid(), signal.SIGKILL)
            self._rung += 1
            metrics = {"0": {"auc": 0.5}, "1": {"auc": 0.5}}
            report = RungReport(self._rung - 1, (0, 1), 1, 0.5, 0.0, 1, metrics)
            return {"report": json.dumps(report.facts())}

    add_node()
    spec = load_space(place.space)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        events = [ledger.append("search_started", settings={})]
        director = Director(spec, OptunaStudy(spec), Feasibility(spec, 128, 3), ledger.append, events)
        run_trials(director, context_of(tmp_path), lambda: 1, tmp_path / "tune", Mortal)
    trials = director.state.trials
    assert [trials[number].state for number in range(3)] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert trials[1].reason.startswith(f"Given up after {TRIAL_TRIES} tries: The actor is dead because its worker")
    assert trials[1].rung == 0
    assert (tmp_path / "lost").exists()


@pytest.mark.usefixtures("driver")
def test_who_sees_the_gpus(pools: Pools, add_node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node with a pretended GPU. To ask Ray for none does not hide it."""
    import ray
    from ray import tune

    from aio_tune.search.tuning import TrialTrainable

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    add_node(num_cpus=1, num_gpus=1)
    context = context_of(tmp_path)

    def seen(process: Any) -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    class Anyone:
        pass

    anyone = ray.remote(Anyone)
    assert ray.get(anyone.remote().__ray_call__.remote(seen)) == "0", "else this test shows nothing"
    assert ray.get(anyone.options(num_gpus=0.5).remote().__ray_call__.remote(seen)) == "0"
    trainable = tune.with_parameters(TrialTrainable, context=context)
    coordinator = ray.remote(trainable).remote(config={"trial": 0, "params": PARAMS, "split": 0, "slot": 0})
    assert ray.get(coordinator.__ray_call__.remote(seen)) == ""

    pool = pools(context)
    TrialRun(context, pool, Assignment(0, PARAMS)).next_rung()
    assert ray.get(pool._workers[0].devices.remote()) == ""
    pool.close()

    context = replace(context, gpus_per_fold=0.5)
    with pytest.raises(SearchError, match="Expected a GPU, of which"):
        TrialRun(context, pools(context), Assignment(1, PARAMS)).next_rung()


@pytest.mark.usefixtures("driver")
def test_a_worn_process_is_replaced_between_trials(pools: Pools, add_node: Node, tmp_path: Path) -> None:
    import ray

    add_node()
    context = context_of(tmp_path)
    pool = pools(context)

    def train(trial: int) -> str:
        pool.replace_worn()
        return TrialRun(context, pool, Assignment(trial, PARAMS)).next_rung().where["0"]

    def grow(process: Any) -> None:
        process.ballast = b"\x01" * (400 * MIB)

    def serve(trials: range) -> set[str]:
        return {train(trial) for trial in trials}

    first = serve(range(WARM_UP + 2))
    assert len(first) == 1
    ray.get(pool._workers[0].__ray_call__.remote(grow))
    # What a process has come to is noted when its next trial begins.
    assert serve(range(10, 11)) == first
    assert not serve(range(20, 22)) & first
