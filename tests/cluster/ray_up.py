"""``ray up`` with cluster/ray-up/local.yaml as it stands, but for the names of the machines, over a real sshd on each.

``unshare --mount --pid --net --uts --fork --mount-proc python -m tests.cluster.ray_up FOLDER up`` writes what it saw as
JSON into ``FOLDER/seen.json``. Needs Debian's openssh-server and rsync; the machine's own folders are left alone.
"""

import json
import os
import pwd
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from aio_tune.launch.tokens import make_token
from tests.cluster.lab import BIN, Node, prepare_host, run, tell, wait_for, writable

SHIPPED = Path(__file__).parents[2] / "cluster" / "ray-up" / "local.yaml"
PATIENCE = 120.0
NODES = ("head", "w1", "w2")


def settings(folder: Path, nodes: dict[str, Node], key: Path) -> Path:
    """The shipped file for the lab's machines."""
    text = SHIPPED.read_text()
    for old, new in (
        ("head.example.org", nodes["head"].address),
        ("worker1.example.org", nodes["w1"].address),
        ("worker2.example.org", nodes["w2"].address),
        ("ssh_user: aio", "ssh_user: root"),
        ("~/.ssh/id_ed25519", str(key)),
        # Small ones: three share this machine.
        ("--cpus 0", "--cpus 0 --memory 2"),
        ("--again", "--again --cpus 1 --memory 2"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "local.yaml"
    path.write_text(text)
    return path


def up(folder: Path) -> dict[str, Any]:
    """Start the cluster, see who is there, end it."""
    prepare_host()
    scratch = folder / "scratch"
    scratch.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", scratch)
    # Where sshd looks for keys, whatever HOME says.
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    os.environ["HOME"] = str(home)
    for path in ("/etc", str(home)):
        writable(path, scratch)
    key = home / ".ssh" / "lab_key"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    (home / ".ssh" / "authorized_keys").write_bytes(key.with_suffix(".pub").read_bytes())
    (home / "aio_tune").symlink_to(BIN.parents[1])
    token = home / ".aio_tune" / "token"
    token.unlink(missing_ok=True)
    make_token(token)
    nodes = {name: Node(name, number) for number, name in enumerate(NODES, start=1)}
    run("ssh-keygen", "-A")
    Path("/run/sshd").mkdir()
    for name, node in nodes.items():
        node.start("/usr/sbin/sshd", "-D", "-e", "-o", "UsePAM=no", log=folder / f"sshd-{name}.log")
    file = settings(folder, nodes, key)
    begun = time.monotonic()
    with (folder / "up.log").open("wb") as log:
        done = subprocess.run(
            [str(BIN / "ray"), "up", str(file), "--yes", "--no-config-cache", "--disable-usage-stats"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False, timeout=PATIENCE,
        )  # fmt: skip
    code = (
        f"import ray; ray.init('{nodes['head'].address}:6379', log_to_driver=False, logging_level='ERROR')\n"
        "print('NODES', *[n['NodeManagerHostname'] for n in ray.nodes() if n['Alive']])"
    )
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}

    def alive() -> set[str]:
        said = nodes["head"].run(sys.executable, "-c", code, env=env).stdout
        lines = [line for line in said.splitlines() if line.startswith("NODES")]
        return set(lines[-1].split()[1:]) if lines else set()

    seen: dict[str, Any] = {"status": done.returncode, "said": (folder / "up.log").read_text()[-4000:]}
    try:
        wait_for(lambda: alive() == set(NODES), PATIENCE, "all workers have joined")
    finally:
        seen |= {"alive": sorted(alive()), "seconds": time.monotonic() - begun}
        logs = sorted((home / ".aio_tune").glob("*.log"))
        seen["logs"] = {path.name: path.read_text()[-1500:] for path in logs}
        (folder / "partly.json").write_text(json.dumps(seen, indent=1))
    doctor = nodes["head"].run(
        BIN / "aio-tune", "doctor", "--home", home / "aio_home", "--address", f"{nodes['head'].address}:6379", "--json",
        env=env,
    )  # fmt: skip
    return {**seen, "doctor": json.loads(doctor.stdout or "[]"), "doctor_said": doctor.stderr}


def main(folder: str, story: str) -> None:
    """Tell the one story."""
    tell(Path(folder), {story: partial(up, Path(folder))})


if __name__ == "__main__":
    main(*sys.argv[1:])
