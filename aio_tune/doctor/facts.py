"""What one node says of itself. Runs on the node, in a process of Ray, and imports nothing heavy."""

import hashlib
import platform
import shutil
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

# What must be the same on all nodes: what computes, and what is sent between processes.
PACKAGES = (
    "ray", "aio-tune", "tensorflow", "keras", "numpy", "pandas", "pyarrow", "scikit-learn", "optuna", "mlflow",
)  # fmt: skip
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Places:
    """What a node is to look at.

    Attributes:
        home: the home folder.
        dataset: an AIO dataset, or None.
        probe: a folder in the home folder that the driver has just made, with a file ``driver`` in it; or None.
        session: folder of this node's Ray session; or None.
    """

    home: Path
    dataset: Path | None = None
    probe: Path | None = None
    session: Path | None = None


@dataclass(frozen=True)
class NodeFacts:
    """One node.

    Attributes:
        name: its host's name.
        versions: of Python, of ``PACKAGES`` and of this project's source (a digest of it).
        gpus: devices of the machine that this process could open.
        cuda: whether TensorFlow's CUDA libraries are installed.
        memory: bytes that processes here may use in all: the machine's, or the container's limit.
        shm: bytes that /dev/shm may hold; 0 where there is none.
        disk: bytes free at the home folder; None where it is not there.
        sees_probe: whether the driver's file is here; None if not asked.
        writes_probe: why nothing can be written beside it; empty if it can.
        dataset: fingerprint of the dataset here; empty if it is not there, None if not asked.
        open_to: path -> "read" or "write", of what others on this machine may do there.
    """

    name: str
    versions: dict[str, str]
    gpus: int
    cuda: bool
    memory: int
    shm: int
    disk: int | None
    sees_probe: bool | None = None
    writes_probe: str = ""
    dataset: str | None = None
    open_to: dict[str, str] = field(default_factory=dict)


def node_facts(places: Places, key: str) -> NodeFacts:
    """Look around here.

    Args:
        places: what to look at.
        key: the node's, a file name in the probe's folder.
    """
    import psutil

    sees, why = _try_probe(places.probe, key)
    return NodeFacts(
        name=platform.node(),
        versions=_versions(),
        gpus=len(list(Path("/proc/driver/nvidia/gpus").glob("*"))),
        cuda=any((d.name or "").lower().startswith("nvidia-cudnn") for d in distributions()),
        memory=min(_cgroup_limit(), psutil.virtual_memory().total),
        shm=shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else 0,  # noqa: S108  (looked at only)
        disk=shutil.disk_usage(places.home).free if places.home.is_dir() else None,
        sees_probe=sees,
        writes_probe=why,
        dataset=_fingerprint(places.dataset),
        open_to=_open_to([path for path in (places.home, places.dataset, places.session) if path]),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"source of aio_tune": source_digest()}


def source_digest() -> str:
    """First 12 hexadecimal digits of the SHA-256 of this project's modules: a checkout's version does not move."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _cgroup_limit() -> int:
    for path in map(Path, _CGROUP_LIMITS):
        try:
            return int(path.read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return 2**63


def _try_probe(probe: Path | None, key: str) -> tuple[bool | None, str]:
    if probe is None:
        return None, ""
    if not (probe / "driver").is_file():
        return False, ""
    try:
        (probe / key).write_text("here")
    except OSError as error:
        return True, str(error)
    return True, ""


def _fingerprint(dataset: Path | None) -> str | None:
    from aio_tune.dataset.manifest import read_manifest
    from aio_tune.errors import DatasetError

    if dataset is None:
        return None
    try:
        return read_manifest(dataset)[1]
    except DatasetError:
        return ""


def _open_to(paths: list[Path]) -> dict[str, str]:
    return {str(path): what for path in paths if (what := others_may(path))}


def others_may(path: Path) -> str:
    """What users other than the owner and the owner's group may do with a path: "write", "read", or nothing.

    A folder that others may not enter protects all that is below it.
    """
    try:
        path = path.resolve()
        if any(not parent.stat().st_mode & 0o001 for parent in path.parents):
            return ""
        mode = path.stat().st_mode
    except OSError:
        return ""
    sticky = bool(mode & 0o1000)
    if mode & 0o002 and not sticky:
        return "write"
    needed = 0o005 if path.is_dir() else 0o004
    return "read" if mode & needed == needed else ""
