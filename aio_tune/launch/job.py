"""A cluster for the length of one command, over the nodes that Slurm gave."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_tune.files import make_private
from aio_tune.launch.joining import await_nodes, await_port
from aio_tune.launch.nodes import NodePlan, Share, address_towards, free_port, private_folder
from aio_tune.launch.processes import Process, end_all
from aio_tune.launch.signals import hearing
from aio_tune.launch.slurm import Allocation
from aio_tune.launch.tokens import make_token, use_token

LOOK = 0.2  # seconds
# How long a search gets to stop once it is told: it ends at once but for what it is writing. Slurm's own limit after
# the signal of the sbatch file is 120 s.
DRIVER_GRACE = 60.0
# Pauses before a node that has left is started again, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
REQUEUE, STOP = "requeue", "stop"


@dataclass
class Wish:
    """What Slurm, or somebody, wants of the job: set by signals, read by a loop.

    Attributes:
        what: ``REQUEUE`` (SIGUSR1: time is nearly up), ``STOP`` (SIGTERM, SIGINT) or nothing.
        number: of the signal.
    """

    what: str = ""
    number: int = 0

    def hear(self, number: int) -> None:
        # Who wants an end gets it, even after a wish to be requeued.
        if self.what != STOP:
            self.what, self.number = (REQUEUE if number == signal.SIGUSR1 else STOP), number


class Worker:
    """One node's step, started again when it ends before the job does.

    Args:
        node: its name.
        start: starts the step.
    """

    def __init__(self, node: str, start: Callable[[str], Process]) -> None:
        self.node = node
        self._start = start
        self._pause = FIRST_PAUSE
        self._again_at: float | None = None
        self.process = start(node)

    def look(self, say: Callable[[str], None]) -> None:
        """Start the step again if it has ended and its pause is over."""
        if self.process.status is None:
            return
        now = time.monotonic()
        if self._again_at is None:
            say(f"node {self.node} has left ({self.process.last_line()}); it is asked again in {self._pause:.0f} s")
            self._again_at, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE)
        elif now >= self._again_at:
            self.process, self._again_at = self._start(self.node), None

    def known(self) -> str:
        """What is known of it, for a message."""
        state = "still starting" if self.process.status is None else "ended"
        return f"{state}, last said: {self.process.last_line()}"


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
    logs = shared / "jobs" / allocation.job
    make_private(logs)
    token = logs / "token"
    make_token(token, replace=True)
    use_token(token)
    wish = Wish()
    with hearing((signal.SIGUSR1, signal.SIGTERM, signal.SIGINT), wish.hear):
        try:
            with contextlib.ExitStack() as ending:
                status = _Cluster(allocation, logs, wait, say, temp, ending).run(command, wish)
        finally:
            token.unlink(missing_ok=True)
        if wish.what == REQUEUE and status:
            allocation.requeue()
            say(f"job {allocation.job} is requeued, and will go on from where it was")
    return status


class _Cluster:
    """The job's Ray, whose ending is put on a stack as it comes to be."""

    def __init__(
        self,
        allocation: Allocation,
        logs: Path,
        wait: float,
        say: Callable[[str], None],
        temp: Path | None,
        ending: contextlib.ExitStack,
    ) -> None:
        self._allocation, self._logs, self._wait, self._say = allocation, logs, wait, say
        self._temp, self._ending = temp, ending
        self._here = address_towards(allocation.workers[0]) if allocation.workers else "127.0.0.1"
        self._port = free_port()
        self._address = f"{self._here}:{self._port}"

    def run(self, command: Sequence[str], wish: Wish) -> int:
        """Start all, run the command; its exit status, or that of the signal that came before it was begun."""
        job, head_node = self._allocation, self._allocation.head
        again = f", for the {job.restarts + 1}. time" if job.restarts else ""
        self._say(f"job {job.job}{again}: head on {head_node} ({self._address}), logs in {self._logs}")
        head = self._start_head()
        workers = self._start_workers()
        known = {worker.node: worker.known for worker in workers} | {head_node: head.last_line}
        await_nodes(
            self._address, job.nodes, self._wait, lambda node: known[node](), lambda: bool(wish.what), self._say
        )
        if wish.what:
            return 128 + wish.number
        driver = Process(command, os.environ | {"RAY_ADDRESS": self._address})
        self._ending.callback(driver.end)
        return _watch(driver, workers, wish, self._say)

    def _start_head(self) -> Process:
        folder = self._ending.enter_context(private_folder(self._temp))
        name = self._allocation.head
        plan = NodePlan(name, Share.from_slurm(os.environ), self._here, port=self._port, dashboard_port=0)
        head = Process(plan.command(folder), os.environ, self._logs / f"{name}.log")
        self._ending.callback(head.end)
        await_port(self._address, self._wait, lambda: "" if head.status is None else head.last_line())
        return head

    def _start_workers(self) -> list[Worker]:
        program = [str(Path(sys.executable).with_name("aio-tune")), "launch", "worker", self._address]
        program += ["--temp", str(self._temp)] if self._temp else []

        def step(node: str) -> Process:
            words = self._allocation.step(node, [*program, "--name", node])
            return Process(words, os.environ, self._logs / f"{node}.log")

        workers: list[Worker] = []
        # Their own launchers end them and clear their folders away; srun's way with SIGTERM would leave these.
        self._ending.callback(lambda: end_all([worker.process for worker in workers], signal.SIGUSR2))
        self._ending.callback(self._say, "ending the cluster")
        for node in self._allocation.workers:
            workers.append(Worker(node, step))  # noqa: PERF401  (those that were started are ended if one cannot be)
        return workers


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
