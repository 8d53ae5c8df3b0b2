"""What is judged of a cluster: one function for each question, over what was gathered.

Each takes an ``Examination`` and gives findings, at least one; none asks the cluster anything.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from aio_tune.doctor.facts import NodeFacts
from aio_tune.doctor.strangers import Door

if TYPE_CHECKING:
    from aio_tune.search_space import SearchSpec

GIB = 2**30
# Resident memory of one fold process with TensorFlow and, after some 40 trials, the networks that it keeps.
FOLD_MEMORY = 1.5 * GIB
# Of the home folder's disk: a trial's checkpoints take some tens of MiB.
LITTLE_DISK = 2 * GIB


class Level(StrEnum):
    """How bad a finding is: a problem stops a search, or somebody else gets in; a warning costs time or is unclear."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        check: its name.
        level: how bad it is.
        what: in one line.
        hint: what to do, empty if nothing.
    """

    check: str
    level: Level
    what: str
    hint: str = ""

    def facts(self) -> dict[str, str]:
        """It as JSON values."""
        return {"check": self.check, "level": self.level.value, "what": self.what, "hint": self.hint}


@dataclass(frozen=True)
class Examination:
    """All that was gathered.

    Attributes:
        address: the cluster's, empty for this machine without Ray.
        doors: what a stranger got.
        nodes: of each node that answered, what it says, and Ray's resources of it.
        silent: nodes that are alive for Ray and did not answer, with the reason.
        token: path of the token file that this process uses, or None.
        token_mode: its permissions; None if it is not there.
        wrote: for each of ``nodes``, whether its file in the home folder came to be seen here; None if not asked.
        fingerprint: of the dataset as this process sees it; None if none was named or it is not here.
        rows_bytes: the training rows' expression in memory; None if no search was named.
        tracking: why the MLflow store does not answer; empty if it does, None if not asked.
        spec: the search that is to be run, if one was named.
    """

    address: str
    nodes: tuple[tuple[NodeFacts, Mapping[str, float]], ...]
    doors: tuple[Door, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()
    token: Path | None = None
    token_mode: int | None = None
    wrote: tuple[bool, ...] | None = None
    fingerprint: str | None = None
    rows_bytes: int | None = None
    tracking: str | None = None
    spec: "SearchSpec | None" = None


Check = Callable[[Examination], list[Finding]]


def closed(seen: Examination) -> list[Finding]:
    """Nobody without the token gets an answer."""
    if not seen.address:
        return [
            Finding("closed", Level.OK, "no cluster was named; a search on this machine starts its own Ray, closed")
        ]
    open_ones = [door for door in seen.doors if door.open]
    if open_ones:
        found = ", ".join(f"{door.what} ({door.address})" for door in open_ones)
        return [
            Finding("closed", Level.PROBLEM, f"open: a stranger without a token got an answer from {found}",
                    "Whoever reaches these ports can run code here. End this cluster, and start it with a token "
                    "(docs/security.md).")
        ]  # fmt: skip
    silent = [door for door in seen.doors if door.open is None]
    if silent:
        return [
            Finding("closed", Level.WARNING, "no answer at all, so nothing is known, from "
                    + ", ".join(f"{door.what} ({door.address})" for door in silent))
        ]  # fmt: skip
    return [Finding("closed", Level.OK, f"a stranger without a token was sent away at all {len(seen.doors)} doors")]


def token_private(seen: Examination) -> list[Finding]:
    """The token file is its owner's alone."""
    if seen.token is None:
        return [Finding("token", Level.OK, "no token file is used by this process")]
    if seen.token_mode is None:
        return [
            Finding("token", Level.PROBLEM, f"RAY_AUTH_TOKEN_PATH names {seen.token}, which is not there",
                    "Name the cluster's token file, or make one by aio-tune launch token FILE.")
        ]  # fmt: skip
    if seen.token_mode & 0o077:
        return [
            Finding("token", Level.PROBLEM, f"{seen.token} has mode {seen.token_mode:04o}: others may have read it",
                    "Start the cluster again with a new one: aio-tune launch token FILE.")
        ]  # fmt: skip
    return [Finding("token", Level.OK, f"{seen.token} is its owner's alone")]


def nodes_answer(seen: Examination) -> list[Finding]:
    """Every node runs tasks."""
    lost = [
        Finding("nodes", Level.PROBLEM, f"node {name} did not answer: {why}", "Look at its memory and its Ray's logs.")
        for name, why in seen.silent
    ]
    many = f"{len(seen.nodes)} node{'s' * (len(seen.nodes) != 1)}"
    return lost or [Finding("nodes", Level.OK, f"{many}: {', '.join(facts.name for facts, _ in seen.nodes)}")]


def storage_private(seen: Examination) -> list[Finding]:
    """Patients' data and what is unpickled lie where no other user of a machine reads or writes."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for facts, _ in seen.nodes:
        for path, what in facts.open_to.items():
            found[path, what].append(facts.name)
    exposed = [
        Finding("private", Level.PROBLEM, f"other users may {what} {path} on {', '.join(names)}",
                f"chmod -R go-rwx {path}, or put it below a folder of yours alone; Ray's own folders: start nodes by "
                "aio-tune launch.")
        for (path, what), names in found.items()
    ]  # fmt: skip
    fine = "no other user may read or write the home folder, the dataset or Ray's folders"
    return exposed or [Finding("private", Level.OK, fine)]


def same_versions(seen: Examination) -> list[Finding]:
    """All nodes run the same Python, the same packages and the same source."""
    findings = []
    for what in seen.nodes[0][0].versions if seen.nodes else ():
        by_version: dict[str, list[str]] = defaultdict(list)
        for facts, _ in seen.nodes:
            by_version[facts.versions.get(what, "unknown")].append(facts.name)
        if len(by_version) > 1:
            parts = "; ".join(f"{value} on {', '.join(names)}" for value, names in by_version.items())
            findings.append(
                Finding("versions", Level.PROBLEM, f"{what} differs: {parts}",
                        "Install from the same requirements.lock everywhere (make setup).")
            )  # fmt: skip
        elif "not installed" in by_version:
            findings.append(
                Finding("versions", Level.PROBLEM, f"{what} is not installed", "make setup, or pip install aio-tune.")
            )
    return findings or [Finding("versions", Level.OK, "the same Python, packages and source on all nodes")]


def gpus(seen: Examination) -> list[Finding]:
    """GPUs that are there are offered and usable."""
    findings = []
    for facts, resources in seen.nodes:
        offered = resources.get("GPU", 0)
        if facts.gpus > offered:
            findings.append(
                Finding("gpus", Level.WARNING, f"{facts.name} has {facts.gpus} GPUs, of which Ray has {offered:g}",
                        "Start its node with --gpus, or ask Slurm for them.")
            )  # fmt: skip
        if offered and not facts.cuda:
            findings.append(
                Finding("gpus", Level.WARNING, f"{facts.name} offers {offered:g} GPUs, but no CUDA libraries from pip",
                        'Unless the system has them: pip install "aio-tune[gpu]".')
            )  # fmt: skip
    wanted = seen.spec.resources.folds_in_parallel * seen.spec.resources.gpus_per_fold if seen.spec else 0
    total = sum(resources.get("GPU", 0) for _, resources in seen.nodes)
    return findings or [Finding("gpus", Level.OK, f"{total:g} offered, {wanted:g} wanted by one trial")]


def memory(seen: Examination) -> list[Finding]:
    """Every node bears the fold processes that its cores let in, beside its object store."""
    findings = []
    per_fold = seen.spec.resources.cpus_per_fold if seen.spec else 1
    for facts, resources in seen.nodes:
        store = resources.get("object_store_memory", 0.0)
        slots = int(resources.get("CPU", 0) // per_fold)
        need = slots * FOLD_MEMORY + store
        if need > facts.memory:
            findings.append(
                Finding("memory", Level.WARNING,
                        f"{facts.name} lets in {slots} fold processes of about {FOLD_MEMORY / GIB:g} GiB beside an "
                        f"object store of {store / GIB:.1f} GiB, and has {facts.memory / GIB:.1f} GiB",
                        "Start it with fewer --cpus or a smaller object store, or raise resources.cpus_per_fold.")
            )  # fmt: skip
        if store > facts.shm:
            findings.append(
                Finding("memory", Level.WARNING, f"{facts.name}'s /dev/shm has {facts.shm / GIB:.1f} GiB for an "
                        f"object store of {store / GIB:.1f} GiB", "Ray then uses a slow disk: give the container more.")
            )  # fmt: skip
        if seen.rows_bytes is not None and store and seen.rows_bytes > store:
            findings.append(
                Finding("memory", Level.WARNING, f"the training rows take {seen.rows_bytes / GIB:.1f} GiB, and "
                        f"{facts.name}'s object store has {store / GIB:.1f} GiB",
                        f"Have them read from disk: --set resources.memory_budget={store / GIB / 2:.1f}.")
            )  # fmt: skip
    return findings or [Finding("memory", Level.OK, "enough for as many fold processes as there are cores")]


def shared_storage(seen: Examination) -> list[Finding]:
    """Home folder and dataset are the same on all nodes, and writable."""
    findings = []
    wrote = seen.wrote or (True,) * len(seen.nodes)
    for (facts, _), came in zip(seen.nodes, wrote, strict=True):
        if facts.sees_probe is False:
            why, hint = "does not see the home folder of this machine", "Mount it there under the same path."
        elif facts.writes_probe:
            why, hint = f"may not write into the home folder: {facts.writes_probe}", "Run Ray there as the same user."
        elif not came:
            why, hint = "wrote into the home folder, and it is not seen here", "It is not the same file system."
        else:
            continue
        findings.append(Finding("shared storage", Level.PROBLEM, f"{facts.name} {why}", hint))
    for facts, _ in seen.nodes:
        if seen.fingerprint is not None and facts.dataset != seen.fingerprint:
            what = "another dataset" if facts.dataset else "no dataset"
            findings.append(
                Finding("shared storage", Level.PROBLEM, f"{facts.name} sees {what} under the path that was named",
                        "Put it on storage that every node mounts under the same path.")
            )  # fmt: skip
    if len(seen.nodes) == 1 and not findings:
        return [Finding("shared storage", Level.OK, "one node: its own disk will do")]
    return findings or [Finding("shared storage", Level.OK, "home folder and dataset are the same on all nodes")]


def disk(seen: Examination) -> list[Finding]:
    """The home folder has room."""
    short = [
        Finding("disk", Level.WARNING, f"{facts.disk / GIB:.1f} GiB free at the home folder, seen from {facts.name}",
                "A search that finds no room stops; make some.")
        for facts, _ in seen.nodes if facts.disk is not None and facts.disk < LITTLE_DISK
    ]  # fmt: skip
    known = [facts.disk for facts, _ in seen.nodes if facts.disk is not None]
    free = f"{min(known) / GIB:.0f} GiB free at the home folder" if known else "the home folder is not there yet"
    return short or [Finding("disk", Level.OK, free)]


def tracking_answers(seen: Examination) -> list[Finding]:
    """MLflow's store answers."""
    if seen.tracking is None:
        return [Finding("mlflow", Level.OK, "no server was named: the home folder's own store")]
    if seen.tracking:
        return [
            Finding("mlflow", Level.PROBLEM, seen.tracking, "Is it up, and are the login and --allowed-hosts right?")
        ]
    return [Finding("mlflow", Level.OK, "the store answers")]


def fits(seen: Examination) -> list[Finding]:
    """At least one trial fits."""
    from aio_tune.search.cluster import MAKE_ROOM, fitting, room_wanted

    if seen.spec is None:
        return [Finding("fits", Level.OK, "no search was named")]
    nodes = [resources for _, resources in seen.nodes]
    trials = fitting(seen.spec, nodes)
    if trials < 1 and seen.spec.resources.autoscaling:
        return [Finding("fits", Level.OK, "no trial yet: nodes are started on demand")]
    if trials < 1:
        return [
            Finding("fits", Level.PROBLEM, "one trial wants {}; there is {}".format(*room_wanted(seen.spec, nodes)),
                    MAKE_ROOM)
        ]  # fmt: skip
    return [Finding("fits", Level.OK, f"{trials} trials at one time")]


CHECKS: tuple[Check, ...] = (
    closed, token_private, nodes_answer, same_versions, shared_storage, storage_private, disk, fits, gpus, memory,
    tracking_answers,
)  # fmt: skip


def judge(seen: Examination) -> list[Finding]:
    """Every check's findings."""
    return [finding for check in CHECKS for finding in check(seen)]
