"""A cluster for the length of one command, over the nodes that Slurm gave."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from aio_tune.launch.joining import await_nodes, await_port, logs_folder
from aio_tune.launch.nodes import NodePlan, Share, address_towards, free_port, private_folder
from aio_tune.launch.processes import Process, end_all
from aio_tune.launch.slurm import Allocation
from aio_tune.launch.tokens import make_token, ray_environment

LOOK = 0.2  # seconds
# How long a search gets to stop once it is told: it ends at once but for what it is writing. Slurm's own limit after
# the signal of the sbatch file is 120 s.
DRIVER_GRACE = 60.0
# Pauses before a node that has left is started again, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
REQUEUE, STOP = "requeue", "stop"


@dataclass
class Wish:
    """What Slurm, or somebody, wants of the job: set by signals, read by a loop."""

    what: str = ""
    number: int = 0

    @contextlib.contextmanager
    def heard(self) -> Iterator["Wish"]:
        """Hear SIGUSR1 (time is nearly up: requeue) and SIGTERM, SIGINT (stop) in this block."""

        def hear(number: int, frame: FrameType | None) -> None:
            # Who wants an end gets it, even after a wish to be requeued.
            if self.what != STOP:
                self.what, self.number = (REQUEUE if number == signal.SIGUSR1 else STOP), number

        numbers = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, hear) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class Worker:
    """One node's step, started again when it ends before the job does."""

    node: str
    start: Callable[[], Process]
    process: Process = field(init=False)
    pause: float = FIRST_PAUSE
    again_at: float | None = None

    def __post_init__(self) -> None:
        self.process = self.start()

    def look(self, say: Callable[[str], None]) -> None:
        """Start the step again if it has ended and its pause is over."""
        if self.process.status is None:
            return
        now = time.monotonic()
        if self.again_at is None:
            say(f"node {self.node} has left ({self.process.last_line()}); it is asked again in {self.pause:.0f} s")
            self.again_at, self.pause = now + self.pause, min(2 * self.pause, LONGEST_PAUSE)
        elif now >= self.again_at:
            self.process, self.again_at = self.start(), None


def run_job(
    allocation: Allocation,
    command: Sequence[str],
    shared: Path,
    wait: float,
    say: Callable[[str], None],
    temp: Path | None = None,
) -> int:
    """Start Ray on all nodes of the allocation, run one command with it, and end what was started.

    The command finds the cluster by ``RAY_ADDRESS`` and the token by ``RAY_AUTH_TOKEN_PATH``. When the job's time is
    nearly up (SIGUSR1) the command is interrupted as by Ctrl-C and the job requeued; the command must be one that goes
    on from where it was.

    Args:
        allocation: the job's nodes; this runs on the first.
        command: what to run.
        shared: a folder that all nodes see under this path; token and logs go below it.
        wait: seconds that the nodes get to come.
        say: told what happens, line by line.
        temp: where Ray's own files go on each node; default: the node's temp folder.

    Returns:
        The command's exit status, as a shell gives it.

    Raises:
        LaunchError: a node did not come, or Slurm will not requeue the job.
    """
    os.umask(0o077)
    logs = logs_folder(shared, allocation.job)
    token = logs / "token"
    make_token(token, replace=True)
    os.environ.update(ray_environment(token))
    with Wish().heard() as wish, contextlib.ExitStack() as ending:
        ending.callback(token.unlink, missing_ok=True)
        try:
            status = _run(allocation, command, logs, wait, say, temp, wish, ending)
        finally:
            say("ending the cluster")
            ending.close()
        if wish.what == REQUEUE and status:
            allocation.requeue()
            say(f"job {allocation.job} is requeued, and will go on from where it was")
    return status


def _run(
    allocation: Allocation,
    command: Sequence[str],
    logs: Path,
    wait: float,
    say: Callable[[str], None],
    temp: Path | None,
    wish: Wish,
    ending: contextlib.ExitStack,
) -> int:
    here = address_towards(allocation.workers[0]) if allocation.workers else "127.0.0.1"
    port = free_port()
    address = f"{here}:{port}"
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    again = f", for the {allocation.restarts + 1}. time" if allocation.restarts else ""
    say(f"job {allocation.job}{again}: head on {allocation.head} ({address}), logs in {logs}")
    folder = ending.enter_context(private_folder(temp))
    plan = NodePlan(allocation.head, Share.from_slurm(os.environ), here, port=port, dashboard_port=0)
    head = Process(plan.command(folder), os.environ, logs / f"{allocation.head}.log")
    ending.callback(head.end)
    await_port(address, wait, lambda: "" if head.status is None else head.last_line())

    program = [str(Path(sys.executable).with_name("aio-tune")), "launch", "worker", address, "--token", str(token)]
    program += ["--temp", str(temp)] if temp else []

    def step(node: str) -> Process:
        words = allocation.step(node, [*program, "--name", node])
        return Process(words, os.environ, logs / f"{node}.log")

    workers = {node: Worker(node, lambda node=node: step(node)) for node in allocation.workers}  # type: ignore[misc]
    # Their own launchers end them and clear their folders away; srun's way with SIGTERM would leave these.
    ending.callback(lambda: end_all([worker.process for worker in workers.values()], signal.SIGUSR2))

    def known_of(node: str) -> str:
        process = workers[node].process if node in workers else head
        return f"{'still starting' if process.status is None else 'ended'}, last said: {process.last_line()}"

    await_nodes(address, allocation.nodes, wait, known_of, lambda: bool(wish.what), say)
    if wish.what:
        return 128 + wish.number
    driver = Process(command, os.environ | {"RAY_ADDRESS": address})
    ending.callback(driver.end)
    return _watch(driver, list(workers.values()), wish, say)


def _watch(driver: Process, workers: list[Worker], wish: Wish, say: Callable[[str], None]) -> int:
    """Until the command ends, by itself or because somebody wished it; its exit status."""
    deadline = None
    while (status := driver.status) is None:
        time.sleep(LOOK)
        if wish.what and deadline is None:
            say("time is nearly up: the search is stopped where it is" if wish.what == REQUEUE else "told to stop")
            driver.signal(signal.SIGINT)
            deadline = time.monotonic() + DRIVER_GRACE
        elif deadline is not None and time.monotonic() > deadline:
            say(f"the command did not stop within {DRIVER_GRACE:.0f} s and is killed")
            driver.end(grace=0)
        elif not wish.what:
            for worker in workers:
                worker.look(say)
    return status
