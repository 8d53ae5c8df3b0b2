"""One node of a cluster: started with a token, in a folder of its own, until it is told to end."""

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from aio_tune.errors import LaunchError
from aio_tune.launch.processes import Process
from aio_tune.launch.signals import hearing
from aio_tune.launch.tokens import ray_environment

LABEL = "aio-node"  # a node's label that holds the name it was started under
PORT = 6379
DASHBOARD_PORT = 8265
# Ray's sockets lie below the temp folder, and a socket's path may have 107 bytes, of which Ray's part takes up to 64.
LONGEST_TEMP = 42
# Share of a node's memory for the object store, where Slurm says how much of the node is ours. Ray takes 30 % of the
# whole machine; the training rows are read into it once, and fold processes need the rest.
OBJECT_STORE_SHARE = 0.2
MEMORY_SHARE = 0.7
AGAIN = 5.0  # seconds before a node that has ended is started again
# SIGUSR2: srun passes it on to its step, whereas by SIGTERM it has the step killed at once.
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)


@dataclass(frozen=True)
class Share:
    """What of a machine is ours; None leaves it to Ray, which takes all that it sees.

    Attributes:
        cpus: cores.
        gpus: whole GPUs.
        memory: bytes.
    """

    cpus: int | None = None
    gpus: int | None = None
    memory: int | None = None

    @classmethod
    def from_slurm(cls, environment: Mapping[str, str]) -> "Share":
        """What Slurm gave of this node, by the variables of the batch script or step; nothing outside of Slurm."""
        if "SLURM_JOB_ID" not in environment:
            return cls()
        cpus = int(environment.get("SLURM_CPUS_ON_NODE") or os.cpu_count() or 1)
        mebibytes = int(environment.get("SLURM_MEM_PER_NODE") or 0) or cpus * int(
            environment.get("SLURM_MEM_PER_CPU") or 0
        )
        # Without a word of GPUs there are none for this job, whatever the machine has.
        return cls(cpus, _gpus_of(environment), mebibytes * 2**20 or None)

    def options(self) -> list[str]:
        """As words for ``ray start``."""
        words = []
        if self.cpus is not None:
            words.append(f"--num-cpus={self.cpus}")
        if self.gpus is not None:
            words.append(f"--num-gpus={self.gpus}")
        if self.memory is not None:
            words.append(f"--memory={int(MEMORY_SHARE * self.memory)}")
            words.append(f"--object-store-memory={int(OBJECT_STORE_SHARE * self.memory)}")
        return words


def _gpus_of(environment: Mapping[str, str]) -> int:
    """GPUs that Slurm gave: by count, else by their list."""
    count = environment.get("SLURM_GPUS_ON_NODE", "")
    if count.isdigit():
        return int(count)
    listed = environment.get("SLURM_STEP_GPUS") or environment.get("SLURM_JOB_GPUS") or ""
    return len([device for device in listed.split(",") if device])


@dataclass(frozen=True)
class NodePlan:
    """How one node is to be started.

    Attributes:
        name: under which it is known in messages (label ``aio-node``).
        share: of the machine.
        address: this node's own IP address.
        head: address (host:port) of the head to join; empty: this is the head.
        port: of a head.
        dashboard_host: where a head's dashboard and job API listen.
        dashboard_port: of a head; 0: any.
        more: further words for ``ray start``.
    """

    name: str
    share: Share
    address: str
    head: str = ""
    port: int = PORT
    dashboard_host: str = "127.0.0.1"
    dashboard_port: int = DASHBOARD_PORT
    more: tuple[str, ...] = ()

    def command(self, temp: Path) -> list[str]:
        """The words of ``ray start``."""
        words = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
        if self.head:
            words.append(f"--address={self.head}")
        else:
            words += ["--head", f"--port={self.port}", f"--dashboard-host={self.dashboard_host}",
                      f"--dashboard-port={self.dashboard_port or free_port()}",
                      f"--ray-client-server-port={free_port()}"]  # fmt: skip
        words.append(f"--node-ip-address={self.address}")
        # Any free ports: with Ray's fixed range two jobs that share a machine are in each other's way.
        words += ["--min-worker-port=0", "--max-worker-port=0"]
        return [*words, f"--temp-dir={temp}", f"--labels={LABEL}={self.name}", *self.share.options(), *self.more]


@contextlib.contextmanager
def private_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for Ray's sockets and logs that its owner alone can enter, gone at the end.

    Ray makes its session folders 0777 whatever the umask, so what protects them is the folder above.

    Raises:
        LaunchError: the parent's path is too long for sockets below it.
    """
    place = Path(tempfile.mkdtemp(prefix="aio-", dir=parent))
    try:
        if len(str(place / "r")) > LONGEST_TEMP:
            raise LaunchError(
                f"Expected a temp folder with a path of at most {LONGEST_TEMP - 15} characters, for the sockets below "
                f"it. Received {place.parent}.",
                "Name a shorter one, on the node's own disk, by --temp.",
            )
        yield place / "r"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_node(plan: NodePlan, token: Path, temp: Path | None = None) -> int:
    """Run one node in this process's foreground, until Ray ends or a signal ends it; returns the exit status.

    A node that was cut off from its head exits and does not come back by itself: have it started again by whatever
    started it.
    """
    told = threading.Event()
    os.umask(0o077)
    with private_folder(temp) as folder, hearing(ENDING_SIGNALS, lambda number: told.set()):
        node = Process(plan.command(folder), ray_environment(token))
        try:
            while node.status is None and not told.wait(0.2):
                pass
            return 0 if node.status is None else node.status
        finally:
            node.end()


def run_again(join: Callable[[], int], say: Callable[[str], None]) -> int:
    """Run a node anew whenever it ends by itself, as after a cut of the network; returns 0 once a signal ended it.

    Args:
        join: runs it; 0 if a signal ended it.
        say: told why it is begun again.
    """
    while True:
        try:
            status = join()
            why = f"Ray ended with status {status}"
        except LaunchError as error:
            status, why = 1, str(error)
        if status == 0:
            return 0
        say(f"{why}; joining again in {AGAIN:.0f} s")
        time.sleep(AGAIN)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        # A port that was free a moment ago on all interfaces: what takes it listens on all.
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def own_address() -> str:
    """This machine's IP address as others know it: on the way out, else the first that is not of the machine alone.

    Ray takes 127.0.0.1 where there is no way out, as on many a cluster, and then no other node finds it.
    """
    try:
        return address_towards("192.0.2.1")  # of nobody (RFC 5737); nothing is sent
    except LaunchError:
        interfaces = psutil.net_if_addrs()
    addresses = [
        address.address
        for name, known in interfaces.items()
        if psutil.net_if_stats()[name].isup
        for address in known
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    return addresses[0] if addresses else "127.0.0.1"


def address_towards(host: str) -> str:
    """This machine's IP address on the way to another one; nothing is sent.

    Raises:
        LaunchError: the name is not known, or there is no way there.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise LaunchError(
            f"Expected a way to the node {host}. Received: {error.strerror or error}.",
            "Its name must be known here, and the network between the nodes be up.",
        ) from error
