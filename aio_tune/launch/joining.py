"""Waiting until the nodes that were started are in the cluster."""

import logging
import socket
import time
from collections.abc import Callable, Collection

from aio_tune.errors import LaunchError
from aio_tune.launch.nodes import LABEL

PAUSE = 0.5  # seconds between two looks


def await_port(address: str, timeout: float, failed: Callable[[], str]) -> None:
    """Wait until a head listens.

    Args:
        address: host:port.
        timeout: seconds.
        failed: why it never will, or an empty string.

    Raises:
        LaunchError: it does not, in time.
    """
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + timeout
    while True:
        if why := failed():
            raise LaunchError(f"Expected a head of Ray at {address}. It ended instead: {why}.")
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"Expected a head of Ray at {address} within {timeout:.0f} s. Received: {error}.",
                    "Give it longer by --wait, or see its log.",
                ) from error
            time.sleep(PAUSE)
        else:
            return


def await_nodes(
    address: str,
    names: Collection[str],
    timeout: float,
    reason: Callable[[str], str],
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Wait until nodes with these names are alive in a cluster.

    Args:
        address: host:port of the head; this process must have the token in its environment.
        names: of all that are expected.
        timeout: seconds.
        reason: what is known of a node that is missing.
        stop: whether it is no use to wait any longer.
        say: told who is there, each time that somebody came.

    Raises:
        LaunchError: some are missing when the time is over, by name.
    """
    import ray

    deadline = time.monotonic() + timeout
    before: set[str] = set()
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, namespace="aio-launch")
    try:
        while not stop():
            there = names_alive(ray.nodes())
            if there != before:
                say(f"{len(there & set(names))} of {len(names)} nodes are there: {', '.join(sorted(there))}")
                before = there
            missing = [name for name in names if name not in there]
            if not missing:
                return
            if time.monotonic() > deadline:
                known = "; ".join(f"{name}: {reason(name)}" for name in missing)
                raise LaunchError(
                    f"Expected {len(names)} nodes within {timeout:.0f} s. Missing: {', '.join(missing)} ({known}).",
                    "Give them longer by --wait, or leave them out of the job.",
                )
            time.sleep(PAUSE)
    finally:
        ray.shutdown()


def names_alive(nodes: Collection[dict[str, object]]) -> set[str]:
    """Names, by label, of those of ``ray.nodes()`` that are alive."""
    labels = [node["Labels"] for node in nodes if node["Alive"]]
    return {str(label[LABEL]) for label in labels if isinstance(label, dict) and LABEL in label}
