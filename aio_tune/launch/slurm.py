"""What Slurm gave to this job, and what it is told."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aio_tune.errors import LaunchError


@dataclass(frozen=True)
class Allocation:
    """The nodes of one Slurm job.

    Attributes:
        job: its id.
        nodes: their names; the batch script runs on the first.
        cpus: cores on each.
        restarts: how often the job was requeued before.
    """

    job: str
    nodes: tuple[str, ...]
    cpus: tuple[int, ...]
    restarts: int = 0

    @property
    def head(self) -> str:
        return self.nodes[0]

    @property
    def workers(self) -> tuple[str, ...]:
        return self.nodes[1:]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Allocation":
        """That of the batch script which runs this.

        Raises:
            LaunchError: not in a batch script of Slurm.
        """
        if not environment.get("SLURM_JOB_ID") or not environment.get("SLURM_JOB_NODELIST"):
            raise LaunchError(
                "Expected to run in a batch script of Slurm. Received an environment without SLURM_JOB_ID.",
                "Submit it: sbatch cluster/slurm/aio-search.sbatch …",
            )
        nodes = tuple(_slurm("scontrol", "show", "hostnames", environment["SLURM_JOB_NODELIST"]).split())
        here = environment.get("SLURMD_NODENAME", nodes[0])
        if here != nodes[0]:
            raise LaunchError(
                f"Expected to run on {nodes[0]}, the first node of the job. Received {here}.",
                "Start it from the batch script itself, not by srun.",
            )
        cpus = expand_counts(environment["SLURM_JOB_CPUS_PER_NODE"])
        return cls(environment["SLURM_JOB_ID"], nodes, cpus, int(environment.get("SLURM_RESTART_COUNT") or 0))

    def step(self, node: str, command: Sequence[str]) -> list[str]:
        """The words that run a command on one of the nodes, with all that the job has there.

        ``--overlap``: the job's other steps hold the same cores. ``--cpus-per-task``: since Slurm 22.05 a step does
        not take it over from the job. ``--mem=0``: all of the job's memory on that node.
        """
        cpus = self.cpus[self.nodes.index(node)]
        return [
            "srun", "--nodes=1", "--ntasks=1", f"--nodelist={node}", "--overlap", f"--cpus-per-task={cpus}", "--mem=0",
            "--export=ALL", "--unbuffered", f"--job-name=aio-node-{node}", *command,
        ]  # fmt: skip

    def requeue(self) -> None:
        """Have Slurm begin the job again, under the same id, when there is room.

        Raises:
            LaunchError: Slurm will not.
        """
        _slurm("scontrol", "requeue", self.job)


def expand_counts(text: str) -> tuple[int, ...]:
    """Slurm's shorthand for counts by node: ``"4(x2),2"`` is (4, 4, 2).

    Raises:
        LaunchError: it is not of that form.
    """
    counts: list[int] = []
    try:
        for part in text.split(","):
            count, _, times = part.partition("(x")
            counts += [int(count)] * int(times.rstrip(")") or 1)
    except ValueError:
        raise LaunchError(f"Expected counts by node, such as 4(x2),2, from Slurm. Received {text!r}.") from None
    return tuple(counts)


def _slurm(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise LaunchError(f"Expected Slurm's {command[0]} on the PATH. Received PATH={os.environ.get('PATH', '')}.")
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (the words are ours)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise LaunchError(f"Expected {' '.join(command)} to work. Slurm said: {said[-1]}.")
    return done.stdout
