"""A real Slurm of three nodes in one machine, and what becomes of the jobs of cluster/slurm/aio-search.sbatch.

``unshare --mount --pid --net --uts --fork --mount-proc python -m tests.cluster.slurm FOLDER STORY...`` writes what it
saw as JSON into ``FOLDER/seen.json``. Needs Debian's slurm-wlm and munge; the machine's own /etc is left alone.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aio_tune.config import Home
from aio_tune.search.leaderboard import leaderboard, read_state
from tests.cluster.lab import NETWORK, Node, hosts, ledger_events, prepare_host, run, tell, wait_for, writable
from tests.cluster.network import SPACE
from tests.place import Place

SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm" / "aio-search.sbatch"
NAMES = ("n1", "n2", "n3")
PATIENCE = 400.0
CONF = """
ClusterName=lab
SlurmctldHost=ctl({network}.254)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
StateSaveLocation=/var/spool/slab/ctl
SlurmdSpoolDir=/var/spool/slab/%n
SlurmctldPidFile=/run/slab/ctld.pid
SlurmdPidFile=/run/slab/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=20
KillWait=30
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
{nodes}
PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """slurmctld here, a slurmd on each node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = Place(folder, SPACE)
        self.home = self.place.home
        # The nodes' temp folder; of this lab alone, so that what is left there is of its jobs.
        self.temp = folder / "t"
        self.temp.mkdir()
        prepare_host()
        # An overlay cannot lie on another, as where a container's disk is one: on a tmpfs.
        scratch = folder / "scratch"
        scratch.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", scratch)
        for path in ("/etc", "/var/spool", "/var/lib/munge", "/var/log/munge"):
            writable(path, scratch)
        self._write_settings()
        self.nodes = {name: Node(name, number) for number, name in enumerate(NAMES, start=1)}
        run("runuser", "-u", "munge", "--", shutil.which("munged") or "/usr/sbin/munged")
        run("slurmctld")
        for name in NAMES:
            self.boot(name)
        wait_for(lambda: self.idle() == len(NAMES), 60, "idle nodes")

    def _write_settings(self) -> None:
        run("hostname", "ctl")
        lines = [f"{NETWORK}.{number} {name}" for number, name in enumerate(NAMES, start=1)]
        Path("/etc/hosts").write_text("\n".join(["127.0.0.1 localhost", f"{NETWORK}.254 ctl", *lines, ""]))
        for path in ("/run/munge", "/run/slab", *[f"/var/spool/slab/{name}" for name in ("ctl", *NAMES)]):
            Path(path).mkdir(parents=True)
        for path in ("/run/munge", "/var/lib/munge", "/var/log/munge"):
            shutil.chown(path, "munge")
        # Two GPUs on n1, as far as Slurm knows: it hands them out by file, and does not open them.
        nodes = [
            f"NodeName={name} NodeAddr={NETWORK}.{number} CPUs=2 RealMemory=4000"
            + (" Gres=gpu:2" if number == 1 else "")
            for number, name in enumerate(NAMES, start=1)
        ]
        conf = CONF.format(network=NETWORK, folder=self.folder, nodes="\n".join(nodes))
        Path("/etc/slurm").mkdir(exist_ok=True)
        Path("/etc/slurm/slurm.conf").write_text(conf)
        Path("/etc/slurm/gres.conf").write_text("NodeName=n1 Name=gpu File=/run/slab/gpu[0-1]\n")
        for device in ("gpu0", "gpu1"):
            Path("/run/slab", device).touch()

    def boot(self, name: str) -> None:
        self.nodes[name].start("slurmd", "-D", "-N", name, log=self.folder / f"slurmd-{name}.out")

    def idle(self) -> int:
        return run("sinfo", "-N", "-h", "-o", "%t").split().count("idle")

    def submit(self, *words: object, options: tuple[str, ...] = ()) -> str:
        """A job of the shipped file; its id."""
        environment = {
            **os.environ,
            "AIO_TUNE_ENVIRONMENT": str(Path(sys.executable).parents[1]),
            "AIO_TUNE_SHARED": str(self.folder / "shared"),
            "TMPDIR": str(self.temp),
        }
        command = ["sbatch", "--parsable", "--nodes=3", "--cpus-per-task=1", "--mem=3000",
                   f"--output={self.folder}/job-%j.log", *options, str(SCRIPT), *map(str, words)]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()

    def search(self, name: str, *more: object, options: tuple[str, ...] = ()) -> str:
        return self.submit(
            "search", self.place.space, "--data", self.place.dataset, "--name", name, "--home", self.home, *more,
            options=options,
        )  # fmt: skip

    def job(self, job: str) -> dict[str, str]:
        """What Slurm says of it."""
        return dict(re.findall(r"(\w+)=(\S+)", run("scontrol", "show", "job", job)))

    def ended(self, job: str) -> dict[str, str]:
        """What Slurm says of it once it has ended for good."""
        final = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")

        def look() -> dict[str, str] | None:
            said = self.job(job)
            return said if said["JobState"] in final else None

        found: dict[str, str] = wait_for(look, PATIENCE, f"the end of job {job}")
        return found

    def told(self, job: str) -> str:
        path = self.folder / f"job-{job}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def left(self) -> list[str]:
        """Processes of Ray that are still there some seconds after a job, and folders, tokens."""
        time.sleep(3)
        processes = run("ps", "-eo", "args").splitlines()
        folders = [str(path) for path in self.temp.glob("aio-*")]
        tokens = [str(path) for path in (self.folder / "shared").rglob("token")]
        return [line for line in processes if "raylet" in line or "gcs_server" in line] + folders + tokens

    def outcome(self, name: str, job: str) -> dict[str, Any]:
        said = self.ended(job)
        rows = leaderboard(read_state(Home(self.home), name))
        reports = ledger_events(self.home, name, "rung_reported")
        return {
            "state": said["JobState"],
            "exit": said["ExitCode"],
            "restarts": int(said["Restarts"]),
            "states": [row["state"] for row in rows],
            "hosts": hosts(reports),
            "rungs": [(report["trial"], report["rung"]) for report in reports],
            "said": self.told(job),
            "left": self.left(),
        }


def runs(slurm: Slurm) -> dict[str, Any]:
    """A search over three nodes, to its end."""
    begun = time.monotonic()
    job = slurm.search("runs", "--trials", 9)
    wait_for(lambda: "to resume" in slurm.told(job), PATIENCE, "the search says something")
    first = time.monotonic() - begun
    return {**slurm.outcome("runs", job), "seconds_to_driver": first}


def fails(slurm: Slurm) -> dict[str, Any]:
    """A search that cannot be: its exit status is the job's."""
    job = slurm.submit("search", "/nowhere.yaml", "--data", slurm.place.dataset, "--name", "x", "--home", slurm.home)
    said = slurm.ended(job)
    return {"state": said["JobState"], "exit": said["ExitCode"], "said": slurm.told(job), "left": slurm.left()}


def misses(slurm: Slurm) -> dict[str, Any]:
    """A node whose step cannot start Ray: the launcher names it."""
    missing = slurm.folder / "missing"
    # On n2 the environment is not where it is on the others.
    slurm.nodes["n2"].run("mount", "-t", "tmpfs", "tmpfs", Path(sys.executable).parent)
    os.environ["AIO_TUNE_WAIT"] = "30"
    try:
        job = slurm.search("misses")
        said = slurm.ended(job)
    finally:
        del os.environ["AIO_TUNE_WAIT"]
        slurm.nodes["n2"].run("umount", Path(sys.executable).parent)
    return {
        "state": said["JobState"], "exit": said["ExitCode"], "said": slurm.told(job), "left": slurm.left(),
        "began": (slurm.home / "runs" / "misses").exists(), "missing": missing.exists(),
    }  # fmt: skip


def node_dies(slurm: Slurm) -> dict[str, Any]:
    """A node loses its power in mid-search and comes back: the job is requeued and goes on."""
    job = slurm.search("node-dies", "--trials", 30)
    reports = lambda: ledger_events(slurm.home, "node-dies", "rung_reported")  # noqa: E731
    wait_for(lambda: len(reports()) >= 3, PATIENCE, "some rungs")
    slurm.nodes["n3"].lose_power()
    wait_for(lambda: int(slurm.job(job)["Restarts"]) == 1, PATIENCE, "the job is requeued")
    before = [(report["trial"], report["rung"]) for report in reports()]
    slurm.nodes["n3"].boot()
    slurm.boot("n3")
    return {**slurm.outcome("node-dies", job), "before": before}


def time_is_up(slurm: Slurm) -> dict[str, Any]:
    """The time limit comes in mid-search."""
    job = slurm.search("time", "--trials", 60, options=("--time=2", "--signal=B:USR1@60"))
    wait_for(lambda: int(slurm.job(job)["Restarts"]) >= 1, PATIENCE, "the job is requeued")
    before = [(e["trial"], e["rung"]) for e in ledger_events(slurm.home, "time", "rung_reported")]
    # The rest at one go.
    run("scontrol", "update", f"JobId={job}", "TimeLimit=30")
    return {**slurm.outcome("time", job), "before": before}


def gpus(slurm: Slurm) -> dict[str, Any]:
    """What Ray is told of GPUs, from Slurm's variables."""
    code = "import ray; ray.init(logging_level='ERROR'); print('GPUS', ray.cluster_resources().get('GPU'))"
    job = subprocess.run(
        ["sbatch", "--parsable", "--nodes=1", "--nodelist=n1", "--gres=gpu:2", f"--output={slurm.folder}/job-%j.log",
         "--wrap", f"{Path(sys.executable).parent}/aio-tune launch slurm --shared {slurm.folder}/shared -- "
         f'{sys.executable} -c "{code}"'],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    said = slurm.ended(job)
    return {"exit": said["ExitCode"], "said": slurm.told(job)}


STORIES: dict[str, Callable[[Slurm], dict[str, Any]]] = {
    story.__name__: story for story in (runs, fails, misses, gpus, node_dies, time_is_up)
}


def main(folder: str, *stories: str) -> None:
    """Tell the stories one after the other."""
    slurm = Slurm(Path(folder))
    slurm.place.run("simulate", slurm.place.geo, "--samples", 90, "--genes", 128, "--seed", 3)
    slurm.place.run("prepare", slurm.place.geo, "--out", slurm.place.dataset)
    tell(slurm.folder, {story: partial(STORIES[story], slurm) for story in stories})


if __name__ == "__main__":
    main(*sys.argv[1:])
