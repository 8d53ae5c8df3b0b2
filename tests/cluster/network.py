"""What happens to searches on a cluster of nodes in one machine: observed here, judged by the tests.

``unshare --mount --pid --net --fork --mount-proc python -m tests.cluster.network FOLDER STORY...`` writes what it saw
as JSON into ``FOLDER/seen.json``, a key for each story.
"""

import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from aio_tune.config import Home
from aio_tune.launch.tokens import make_token
from aio_tune.search.leaderboard import leaderboard, read_state
from tests.cluster.lab import BIN, Node, hosts, ledger_events, prepare_host, slowed, tell, wait_for
from tests.cluster.story import ROOT
from tests.place import Place

SPACE = """
task: nhg
folds: 2
trials: 24
rungs: [[1, 4], [2, 40]]
sampler: random
pruner: none
layout_control: false
space:
  branches: embedding
  embedding_width: {choice: [4, 8, 16]}
  fc_widths: [8, 4]
  batch_size: 4
  learning_rate: {float: [1e-4, 1e-2], log: true}
"""
AIO = BIN / "aio-tune"
PATIENCE = 420.0
SMALL = ("--cpus", 1, "--memory", 3, "--ray=--object-store-memory=100000000", "--ray=--memory=1000000000")


class World:
    """A head without cores, worker nodes that are started again whenever their Ray ends, and a shared folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = Place(folder, SPACE)
        self.home = self.place.home
        self.token = folder / "token"
        make_token(self.token)
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token), "NO_PROXY": "*"}
        self.nodes: dict[str, Node] = {}
        prepare_host()
        self.head = self.node("head")
        self.address = f"{self.head.address}:6379"
        self.start_head()

    def node(self, name: str) -> Node:
        self.nodes[name] = Node(name, len(self.nodes) + 1)
        return self.nodes[name]

    def start_head(self) -> None:
        words = (AIO, "launch", "head", "--token", self.token, "--address", self.head.address, "--cpus", 0)
        self.head.start(*words, *SMALL[2:], log=self.folder / "head.log", env=self.env)

    def worker(self, name: str) -> Node:
        """A node that comes back, as with systemd's ``Restart=always``."""
        node = self.nodes.get(name) or self.node(name)
        words = (AIO, "launch", "worker", self.address, "--again", "--token", self.token, "--name", name, *SMALL)
        node.start(*words, log=self.folder / f"{name}.log", env=self.env)
        return node

    def alive(self) -> set[str]:
        """Names of the nodes that are in the cluster."""
        return set(alive(self.head, self.address, self.env))

    def await_nodes(self, *names: str) -> float:
        """Seconds until these are there."""
        begun = time.monotonic()
        wait_for(lambda: set(names) <= self.alive(), PATIENCE, f"nodes {names}")
        return time.monotonic() - begun

    def words(self, name: str, *more: object, address: str = "") -> list[object]:
        return [
            AIO, "search", self.place.space, "--data", self.place.dataset, "--name", name, "--home", self.home,
            "--address", address or self.address, *more,
        ]  # fmt: skip

    def search(self, name: str, *more: object, address: str = "") -> psutil.Popen:
        """A search, begun on the head."""
        return self.head.start(*self.words(name, *more, address=address), log=self.folder / f"{name}.log", env=self.env)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def reports(self, name: str) -> list[dict[str, Any]]:
        return ledger_events(self.home, name, "rung_reported")

    def outcome(self, name: str, driver: psutil.Popen) -> dict[str, Any]:
        """What became of a search that ends."""
        status = driver.wait(PATIENCE)
        rows = leaderboard(read_state(Home(self.home), name)) if status == 0 else []
        reports = self.reports(name)
        return {
            "status": status,
            "states": [row["state"] for row in rows],
            "hosts": hosts(reports),
            "rungs": [(report["trial"], report["rung"]) for report in reports],
            "said": self.log(name)[-3000:],
        }


def alive(node: Node, address: str, env: dict[str, str]) -> list[str]:
    """Names of the nodes that are in a cluster, as seen from a node; ``None`` is the name of one that has none."""
    code = (
        f"import ray; ray.init({address!r}, log_to_driver=False, logging_level='ERROR')\n"
        "print('NODES', *[n['Labels'].get('aio-node') for n in ray.nodes() if n['Alive']])"
    )
    said = node.run(sys.executable, "-c", code, env=env).stdout
    lines = [line for line in said.splitlines() if line.startswith("NODES")]
    return lines[-1].split()[1:] if lines else []


def interrupt(driver: psutil.Popen) -> int:
    """Ctrl-C for a search that was begun on a node; its exit status."""
    # nsenter waits for the command, its one child.
    driver.children()[0].send_signal(signal.SIGINT)
    return int(driver.wait(60))


def meets(world: World) -> dict[str, Any]:
    """Three nodes find each other; the doctor looks at them."""
    for name in ("w1", "w2"):
        world.worker(name)
    seconds = world.await_nodes("head", "w1", "w2")
    doctor = world.head.run(
        AIO, "doctor", world.place.space, "--data", world.place.dataset, "--home", world.home, "--address",
        world.address, "--json", env=world.env,
    )  # fmt: skip
    return {
        "seconds": seconds,
        "alive": sorted(world.alive()),
        "doctor": json.loads(doctor.stdout or "[]"),
        "doctor_status": doctor.returncode,
        "doctor_said": doctor.stderr,
    }


def strangers(world: World) -> dict[str, Any]:
    """A wrong token, for a driver, a worker and a job; and none at all."""
    other = world.folder / "other-token"
    make_token(other)
    wrong = {**world.env, "RAY_AUTH_TOKEN_PATH": str(other)}
    driver = world.head.run(*world.words("stranger"), env=wrong, timeout=PATIENCE)
    joining = (AIO, "launch", "worker", world.address, "--token", other, "--name", "thief", *SMALL)
    worker = world.nodes["w1"].run(*joining, env=wrong, timeout=PATIENCE)
    job = world.head.run(*world.words("stranger", address="http://127.0.0.1:8265"), env=wrong, timeout=PATIENCE)
    page = world.head.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8265/api/jobs/")
    return {
        "driver": (driver.returncode, driver.stderr),
        "worker": (worker.returncode, (worker.stdout + worker.stderr)[-2000:]),
        "job": (job.returncode, job.stderr),
        "page": page.stdout,
        "left": (world.home / "runs" / "stranger" / "ledger.jsonl").exists(),
        "alive": sorted(world.alive()),
    }


def cut(world: World) -> dict[str, Any]:
    """A cable is pulled in mid-search, and put back later; another node joins meanwhile."""
    # There is work until all has been seen, however fast the machine is; then no more trials are begun.
    driver = world.search("cut", "--trials", 100_000)
    wait_for(lambda: {"w1", "w2"} <= set(hosts(world.reports("cut"))), PATIENCE, "both workers have trained")
    world.nodes["w1"].cut()
    at_cut = len(world.reports("cut"))
    cut_at = time.monotonic()
    world.worker("w3")
    wait_for(lambda: "w3" in hosts(world.reports("cut")), PATIENCE, "the new node has trained")
    wait_for(lambda: "w1" not in world.alive(), PATIENCE, "the head notices")
    noticed = time.monotonic() - cut_at
    world.nodes["w1"].heal()
    healed = len(world.reports("cut"))
    back = world.await_nodes("w1")
    wait_for(lambda: "w1" in hosts(world.reports("cut")[healed:]), PATIENCE, "the healed node has trained")
    left = interrupt(driver)
    trials = len(ledger_events(world.home, "cut", "trial_asked"))
    return {
        **world.outcome("cut", world.search("cut", "--trials", trials, "--resume")),
        "left": left,
        "trials": trials,
        "seconds_until_noticed": noticed,
        "seconds_until_back": back,
        "hosts_after_cut": hosts(world.reports("cut")[at_cut:healed]),
        "worker_log": world.log("w1")[-3000:],
    }


def job(world: World) -> dict[str, Any]:
    """A search as a job: begun, left, found again."""
    address = "http://127.0.0.1:8265"
    first = world.search("as-job", "--trials", 4, address=address)
    wait_for(lambda: world.reports("as-job"), PATIENCE, "the job's search reports")
    left = interrupt(first)
    said_first = world.log("as-job")
    again = world.search("as-job", "--trials", 4, "--resume", address=address)
    outcome = world.outcome("as-job", again)
    return {**outcome, "left": left, "said_first": said_first, "said_again": world.log("as-job")[len(said_first) :]}


def head_dies(world: World) -> dict[str, Any]:
    """The head loses its power in mid-search, and the driver with it."""
    driver = world.search("headless", "--trials", 6)
    wait_for(lambda: len(world.reports("headless")) >= 3, PATIENCE, "some rungs")
    world.head.lose_power()
    driver.wait(60)
    before = [(report["trial"], report["rung"]) for report in world.reports("headless")]
    world.head.boot()
    world.start_head()
    back = world.await_nodes("head", "w1", "w2")
    resumed = world.search("headless", "--trials", 6, "--resume")
    return {**world.outcome("headless", resumed), "before": before, "seconds_until_back": back}


def power(world: World) -> dict[str, Any]:
    """A worker node loses its power in mid-search."""
    driver = world.search("dark", "--trials", 40)
    wait_for(lambda: {"w1", "w2"} <= set(hosts(world.reports("dark"))), PATIENCE, "both workers have trained")
    world.nodes["w2"].lose_power()
    outcome = world.outcome("dark", driver)
    world.nodes["w2"].boot()
    world.worker("w2")
    return {**outcome, "seconds_until_back": world.await_nodes("w2")}


def slow(world: World) -> dict[str, Any]:
    """One node's processes run for a fifth of the time."""
    with slowed(world.nodes["w2"], share=0.2):
        return world.outcome("slow", world.search("slow", "--trials", 24))


def entrypoint(world: World) -> dict[str, Any]:
    """The entrypoint of the shipped RayJob as it stands, by ``ray job submit``; twice, as by a retry."""
    manifest = yaml.safe_load((ROOT / "cluster" / "kubernetes" / "rayjob.yaml").read_text())
    words = shlex.split(manifest["spec"]["entrypoint"])
    space = Path(words[words.index("search") + 1])
    small = SPACE.replace("trials: 24", "trials: 2")
    (world.folder / "ki67.yaml").write_text(small)
    claim = Path(words[words.index("--data") + 1]).parent
    shared = world.folder / "claim"
    shared.mkdir()
    (shared / "dataset").symlink_to(world.place.dataset)
    for name in ("head", "w1", "w2"):
        # As in the image and with the claim; on these nodes alone.
        script = (
            f"mount -t tmpfs tmpfs /opt && mkdir -p {space.parent} && cp {world.folder}/ki67.yaml {space}\n"
            f"mount -t tmpfs tmpfs {claim.parent} && mkdir {claim} && mount --bind {shared} {claim}"
        )
        done = world.nodes[name].run("bash", "-ec", script)
        assert done.returncode == 0, done.stderr
    submit = (BIN / "ray", "job", "submit", "--address", "http://127.0.0.1:8265", "--", *words)
    told = [world.head.run(*submit, env=world.env, timeout=PATIENCE) for _ in range(2)]
    reports = ledger_events(shared / "aio_home", "ki67", "rung_reported")
    return {
        "statuses": [each.returncode for each in told],
        "said": [(each.stdout + each.stderr)[-3000:] for each in told],
        "rungs": [(report["trial"], report["rung"]) for report in reports],
    }


def opened(world: World) -> dict[str, Any]:
    """A second cluster, as Ray would start it by itself with RAY_AUTH_MODE=disabled: what the doctor says."""
    node = world.node("open")
    words = (BIN / "ray", "start", "--head", f"--node-ip-address={node.address}", "--port=6379", "--num-cpus=1")
    open_env = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    # As /tmp/ray is: every user of the machine may enter.
    temp = Path(tempfile.mkdtemp(prefix="open-"))
    temp.chmod(0o755)
    more = ("--block", "--object-store-memory=100000000", f"--temp-dir={temp / 'r'}")
    node.start(*words, *more, log=world.folder / "open.log", env=open_env)
    # Another installation on the node: first on its path.
    other = world.folder / "other" / "keras-9.9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 9.9.9\n")
    joined = world.node("odd")
    join = (BIN / "ray", "start", "--block", f"--address={node.address}:6379", f"--node-ip-address={joined.address}")
    odd_env = {**open_env, "PYTHONPATH": str(other.parent)}
    wait_for(lambda: "Local node IP" in world.log("open"), PATIENCE, "an open head")
    joined.start(*join, "--num-cpus=1", "--object-store-memory=100000000", log=world.folder / "odd.log", env=odd_env)
    address = f"{node.address}:6379"
    wait_for(lambda: len(alive(node, address, open_env)) == 2, PATIENCE, "an odd node")
    doctor = node.run(AIO, "doctor", "--home", world.home, "--address", address, "--json", env=open_env)
    shutil.rmtree(temp)
    return {"status": doctor.returncode, "said": doctor.stderr, "doctor": json.loads(doctor.stdout or "[]")}


STORIES: dict[str, Callable[[World], dict[str, Any]]] = {
    story.__name__: story for story in (meets, strangers, cut, job, power, head_dies, slow, entrypoint, opened)
}


def main(folder: str, *stories: str) -> None:
    """Tell the stories one after the other."""
    world = World(Path(folder))
    world.place.run("simulate", world.place.geo, "--samples", 90, "--genes", 128, "--seed", 3)
    world.place.run("prepare", world.place.geo, "--out", world.place.dataset)
    world.folder.chmod(0o700)
    tell(world.folder, {story: partial(STORIES[story], world) for story in stories})


if __name__ == "__main__":
    main(*sys.argv[1:])
