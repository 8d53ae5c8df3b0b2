"""Gathers what is known of a cluster, and has it judged."""

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_tune.config import Home
from aio_tune.dataset import AioDataset
from aio_tune.doctor.checks import Examination, Finding, judge
from aio_tune.doctor.facts import NodeFacts, Places, node_facts
from aio_tune.doctor.strangers import doors
from aio_tune.errors import AioTuneError
from aio_tune.files import make_private
from aio_tune.search.cluster import cluster

if TYPE_CHECKING:
    from aio_tune.search_space import SearchSpec

ANSWER = 60.0  # seconds that a node gets; a new process of Ray takes 2 to 5
# Network file systems show a new file to others after some seconds at worst (NFS: acregmin, 3 s).
APPEARS = 10.0


@dataclass(frozen=True)
class Wanted:
    """What is to be examined.

    Attributes:
        address: a cluster's host:port; "local" for this machine alone, on which no Ray is started.
        home: the home folder of the searches.
        dataset: that they are to use, or None.
        spec: the search that is to be run, or None.
        tracking_uri: of a server; empty for the home folder's own store.
    """

    address: str
    home: Home
    dataset: AioDataset | None = None
    spec: "SearchSpec | None" = None
    tracking_uri: str = ""


def examine(wanted: Wanted) -> list[Finding]:
    """Gather and judge. A cluster's nodes each run one small task; nothing is left behind.

    Raises:
        SearchError: there is no cluster at that address, or it does not know this token.
    """
    return judge(_of_cluster(wanted) if wanted.address != "local" else _of_this_machine(wanted))


def _of_this_machine(wanted: Wanted) -> Examination:
    dataset = wanted.dataset.path.resolve() if wanted.dataset else None
    facts = node_facts(Places(wanted.home.path, dataset), "this")
    offered = {"CPU": float(os.cpu_count() or 1), "GPU": float(facts.gpus)}
    return Examination("", ((facts, offered),), **_common(wanted))


def _of_cluster(wanted: Wanted) -> Examination:
    import ray

    with cluster(wanted.address) as addresses, _probe(wanted.home) as probe:
        alive = [node for node in ray.nodes() if node["Alive"]]
        answers, silent = _ask_nodes(alive, wanted, probe)
        wrote = _files_seen(probe, [node["NodeID"] for node in alive])
        return Examination(
            wanted.address,
            tuple((facts, node["Resources"]) for node, facts in answers),
            doors=doors(addresses["gcs_address"], addresses["webui_url"] or "", alive),
            silent=silent,
            wrote=tuple(wrote[node["NodeID"]] for node, _ in answers),
            **_common(wanted),
        )


def _common(wanted: Wanted) -> dict[str, Any]:
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]) if os.environ.get("RAY_AUTH_TOKEN_PATH") else None
    return {
        "token": token,
        "token_mode": stat.S_IMODE(token.stat().st_mode) if token and token.is_file() else None,
        "fingerprint": wanted.dataset.fingerprint if wanted.dataset else None,
        "rows_bytes": _rows_bytes(wanted),
        "tracking": _tracking(wanted.tracking_uri),
        "spec": wanted.spec,
    }


def _ask_nodes(
    alive: list[dict[str, Any]], wanted: Wanted, probe: Path
) -> tuple[list[tuple[dict[str, Any], NodeFacts]], tuple[tuple[str, str], ...]]:
    """Each node's facts; and the nodes that did not answer, with why."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(node_facts)
    asked = []
    for node in alive:
        # <temp>/session_<time>/sockets/raylet
        places = Places(
            wanted.home.path, wanted.dataset.path.resolve() if wanted.dataset else None, probe,
            Path(node["RayletSocketName"]).parents[1],
        )  # fmt: skip
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = task.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        asked.append((node, options.remote(places, node["NodeID"])))
    deadline = time.monotonic() + ANSWER
    answers, silent = [], []
    for node, reference in asked:
        try:
            answers.append((node, ray.get(reference, timeout=max(0.1, deadline - time.monotonic()))))
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            silent.append((node["NodeManagerHostname"], said[-1]))
    return answers, tuple(silent)


@contextlib.contextmanager
def _probe(home: Home) -> Iterator[Path]:
    """A folder in the home folder, with a file of this process; gone at the end, the home folder too if it was new."""
    new = not home.path.exists()
    probe = home.path / f".doctor-{secrets.token_hex(4)}"
    make_private(probe)
    try:
        (probe / "driver").write_text("here")
        yield probe
    finally:
        shutil.rmtree(probe, ignore_errors=True)
        if new:
            with contextlib.suppress(OSError):
                home.path.rmdir()


def _files_seen(probe: Path, keys: list[str]) -> Mapping[str, bool]:
    """Whether the file that each node wrote comes to be seen here."""
    deadline = time.monotonic() + APPEARS
    while not all(found := [(probe / key).exists() for key in keys]) and time.monotonic() < deadline:
        time.sleep(0.2)
    return dict(zip(keys, found, strict=True))


def _rows_bytes(wanted: Wanted) -> int | None:
    from aio_tune.search.rows import training_rows

    spec = wanted.spec
    if spec is None or wanted.dataset is None:
        return None
    budget = spec.resources.memory_budget
    return training_rows(wanted.dataset, spec.task, spec.train_on, spec.folds, spec.seed, budget).stored.nbytes


def _tracking(uri: str) -> str | None:
    """Why a tracking server does not answer a question of ours."""
    from aio_tune.tracking import check_store

    if not uri:
        return None
    try:
        check_store(uri)
    except AioTuneError as error:
        return error.problem
    return ""
