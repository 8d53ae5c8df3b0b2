"""The Ray that a search runs on: one of its own, or a cluster that is there."""

import contextlib
import gc
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aio_tune.errors import SearchError
from aio_tune.launch.knocking import check_head
from aio_tune.launch.signals import hearing
from aio_tune.launch.tokens import keep_default_token_private
from aio_tune.search_space import SearchSpec

# Ray counts resources in ten-thousandths; by floating-point division a GPU would have four shares of 0.2.
_RAYS_UNITS = 10_000

MAKE_ROOM = (
    "Lower resources.folds_in_parallel, cpus_per_fold or gpus_per_fold with --set; where nodes are started on demand, "
    "--set resources.autoscaling=true."
)
"""What to do where no trial fits."""


def node_resources() -> list[Mapping[str, float]]:
    """What each node of the connected cluster offers: kind (``CPU``, ``GPU``) -> amount."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def concurrency(spec: SearchSpec, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trials run at one time on a cluster as it is: as many as fit, or fewer if the space file says so.

    Asked again and again in the course of a search, since nodes come and go. At least one: it waits for a place. With
    ``resources.autoscaling`` one more than fit, so that whoever starts nodes sees that one is wanted.

    Args:
        spec: what one trial takes.
        nodes: as of ``node_resources``.
    """
    fits = max(1, fitting(spec, nodes) + spec.resources.autoscaling)
    return min(fits, spec.resources.max_concurrent_trials or fits)


def check_fits(spec: SearchSpec, nodes: Sequence[Mapping[str, float]]) -> None:
    """Make sure that a trial fits on a cluster which stays as it is.

    Raises:
        SearchError: not even one fits.
    """
    if not spec.resources.autoscaling and fitting(spec, nodes) < 1:
        wanted, there = room_wanted(spec, nodes)
        raise SearchError(
            f"Expected room for one trial, {wanted}. Received {there}.",
            MAKE_ROOM,
        )


def fitting(spec: SearchSpec, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trials fit on these nodes at one time; a process of a trial is on one of them, a trial on several."""
    return sum(_processes(spec, node) for node in nodes) // spec.resources.folds_in_parallel


def room_wanted(spec: SearchSpec, nodes: Sequence[Mapping[str, float]]) -> tuple[str, str]:
    """What a trial wants, and what there is, in words."""
    wanted = spec.resources
    processes = f"{wanted.folds_in_parallel} process{'es' * (wanted.folds_in_parallel > 1)}"
    offers = Counter(f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes)
    there = "; ".join(f"{many} node{'s' * (many > 1)} with {offer}" for offer, many in offers.items())
    return f"{processes} with {wanted.cpus_per_fold} CPU and {wanted.gpus_per_fold:g} GPU each", there or "no node"


def _processes(spec: SearchSpec, node: Mapping[str, float]) -> int:
    """How many fold workers fit on a node."""
    fit = int(node.get("CPU", 0) // spec.resources.cpus_per_fold)
    share = spec.resources.gpus_per_fold
    if not share:
        return fit
    gpus = int(node.get("GPU", 0))
    # A share is of one GPU, not of what is left on two.
    return min(fit, int(gpus // share) if share >= 1 else gpus * (_RAYS_UNITS // max(1, round(_RAYS_UNITS * share))))


class Room:
    """How many trials the connected cluster has room for, as of a moment ago.

    Args:
        spec: what one trial takes.
        age: seconds for which an answer is good.
    """

    def __init__(self, spec: SearchSpec, age: float = 1.0) -> None:
        self._spec, self._age = spec, age
        self._trials, self._asked = 1, float("-inf")

    def __call__(self) -> int:
        if time.monotonic() - self._asked > self._age:
            self._trials, self._asked = concurrency(self._spec, node_resources()), time.monotonic()
        return self._trials


def smallest_object_store() -> int:
    """Bytes of the smallest object store among the connected cluster's nodes."""
    return int(min(node.get("object_store_memory", 0) for node in node_resources()))


def forget_row_files() -> None:
    """On every node of the connected cluster, remove the unpacked expression that nobody uses any more."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from aio_tune.dataset import forget_unused

    task = ray.remote(forget_unused)
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            # A node that is lost, or too slow, keeps its file until the next search that needs one there.
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get(task.options(num_cpus=0, scheduling_strategy=there).remote(wait=5.0), timeout=30)


def check_address(address: str) -> None:
    """Make sure, within seconds, that a search can run there.

    Raises:
        SearchError: it is no address of a cluster.
        LaunchError: nobody answers there, or not to our token.
    """
    if address.startswith("ray://"):
        raise SearchError(
            f"Expected a cluster's own address (host:port), or its job API (http://...). Received {address}, of Ray "
            "Client, over which no search can be left and rejoined.",
            "Open a tunnel to the head's port 8265, and give --address http://127.0.0.1:8265.",
        )
    check_head(address)


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Mapping[str, Any]]:
    """A Ray for the length of the search: one of our own (``"local"``), or a cluster that is there.

    Yields what Ray says of its addresses (``gcs_address``, ``webui_url``).
    """
    # Never asked for by our users, and it would speak to the network from machines that hold patients' data.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")

    check_address(address)
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options["include_dashboard"] = False
        keep_default_token_private()
    addresses = _connect(address, options)
    try:
        yield addresses
    finally:
        _leave()


@contextlib.contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Take SIGTERM, of ``kill``, ``docker stop`` or a stopped job of Ray's, as SIGINT.

    Ray's own handler, which ``ray.init`` sets, prints a stack of C++ and leaves at once, without a word of how to go
    on: enter this before, for what comes meanwhile, and again when Ray is there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with hearing((signal.SIGTERM,), lambda number: signal.default_int_handler(number, None)):
        yield


def _leave() -> None:
    """``ray.shutdown``, with nothing of Ray's left for Python to free later.

    What Tune leaves in cycles refers to objects of Ray. Where another thread, such as that of the mirror, happens
    to free them while Ray is being shut down, Ray ends the whole process at once (ray-project/ray, pull 19115). The
    likely cause of a confirmation that ended after its last trial, without its table.
    """
    import ray

    collects = gc.isenabled()
    gc.disable()
    try:
        gc.collect()
        ray.shutdown()
    finally:
        if collects:
            gc.enable()


def _connect(address: str, options: dict[str, Any], tries: int = 2) -> Mapping[str, Any]:
    """``ray.init``; a node of our own that did not come up within Ray's fixed 30 s gets a second chance."""
    import ray

    try:
        addresses: Mapping[str, Any] = ray.init(**options).address_info
    except ConnectionError as error:
        raise SearchError(
            f"Expected a Ray cluster at {address}. Received: {str(error).splitlines()[0]}.",
            "Start it, set its RAY_AUTH_MODE and token here too, or leave --address out to search on this machine.",
        ) from error
    except RuntimeError as error:
        # Ray's words for a cluster of another Ray or Python; it has no class of its own for this.
        if not str(error).startswith("Version mismatch"):
            raise
        raise SearchError(
            f"Expected the versions of the cluster at {address} here. Received: {' '.join(str(error).split())}",
            "Run this with the environment that the nodes were started with.",
        ) from error
    except Exception as error:
        # Ray has no narrower class for this.
        if type(error) is not Exception:
            raise
        ray.shutdown()
        if tries > 1:
            return _connect(address, options, tries - 1)
        raise SearchError(
            f"Expected Ray to start on this machine. Received: {str(error).splitlines()[0]}",
            "The machine may be overloaded: try again, with --resume if the search had begun.",
        ) from error
    return addresses
