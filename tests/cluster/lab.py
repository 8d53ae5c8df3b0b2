"""Machines in one machine: nodes with a network, processes and a host name of their own, and cables to pull.

To be used inside ``unshare --mount --pid --net --fork --mount-proc``: when that ends, every process, mount and
namespace made here is gone. Needs root and Debian's iproute2.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from aio_tune.config import Home
from aio_tune.ledger import read_events

BRIDGE = "br0"
NETWORK = "10.77.0"
ENTER = ("nsenter", "--mount", "--uts", "--net", "--pid")
BIN = Path(sys.executable).parent


def run(*words: object) -> str:
    """A command that must work; its output."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr or done.stdout}")
    return done.stdout


def prepare_host() -> None:
    """A bridge, and a /run in which networks can be named."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    Path("/run/netns").mkdir()
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "link", "set", BRIDGE, "up")
    run("ip", "addr", "add", f"{NETWORK}.254/24", "dev", BRIDGE)


def writable(folder: str, work: Path) -> None:
    """A folder of the machine, to be written to by this lab alone."""
    for part in ("upper", "work"):
        (work / folder.strip("/") / part).mkdir(parents=True)
    there = work / folder.strip("/")
    run("mount", "-t", "overlay", "overlay", "-o",
        f"lowerdir={folder},upperdir={there / 'upper'},workdir={there / 'work'}", folder)  # fmt: skip


class Node:
    """One machine of the lab."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"{NETWORK}.{number}"
        self._cable = f"v{name}"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", self._cable, "master", BRIDGE, "up")
        run("ip", "-n", name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        self.boot()

    def boot(self) -> None:
        """Its first process, which also reaps; the rest enters its namespaces."""
        unshare = ["unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]
        first = f"hostname {self.name}; echo up; sleep infinity & wait"
        # Not `ip netns exec`, which hides the cgroups that slurmd needs.
        words = ["nsenter", f"--net=/run/netns/{self.name}", *unshare, "bash", "-c", first]
        self._init = psutil.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == "up\n"
        # nsenter has become unshare, whose one child is the first process of the node.
        self._first = self._init.children()[0]

    def command(self, *words: object) -> list[str]:
        """The words that run a command on this node."""
        return [*ENTER, f"--target={self._first.pid}", "--", *map(str, words)]

    def start(self, *words: object, log: Path, env: dict[str, str] | None = None) -> psutil.Popen:
        """Start a command on this node."""
        with log.open("ab") as output:
            return psutil.Popen(
                self.command(*words), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
            )  # fmt: skip

    def run(self, *words: object, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on this node to its end."""
        environment = {**os.environ, **(env or {})}
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, env=environment, **more
        )

    def cut(self) -> None:
        """Pull its cable."""
        run("ip", "link", "set", self._cable, "down")

    def heal(self) -> None:
        run("ip", "link", "set", self._cable, "up")

    def processes(self) -> list[psutil.Process]:
        """All but its first."""
        return self._first.children(recursive=True) + [
            process for process in psutil.process_iter() if _namespace(process) == _namespace(self._first)
        ]

    def lose_power(self) -> None:
        """Everything on it ends at once."""
        self._first.send_signal(signal.SIGKILL)
        # Not waited for: it goes once all that had entered it from outside are reaped.


def _namespace(process: psutil.Process) -> str:
    try:
        return str(Path(f"/proc/{process.pid}/ns/pid_for_children").readlink())
    except OSError:
        return ""


@contextlib.contextmanager
def slowed(node: Node, share: float, period: float = 0.25) -> Iterator[None]:
    """Its fold processes run for a share of the time only."""
    import threading

    stop = threading.Event()

    def brake() -> None:
        while not stop.is_set():
            folds = [process for process in node.processes() if _is_fold(process)]
            for number, pause in ((signal.SIGSTOP, (1 - share) * period), (signal.SIGCONT, share * period)):
                for process in folds:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.send_signal(number)
                stop.wait(pause)

    thread = threading.Thread(target=brake)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _is_fold(process: psutil.Process) -> bool:
    try:
        return "FoldWorker" in "".join(process.cmdline())
    except psutil.Error:
        return False


def wait_for(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """What ``what`` returns once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {why}")
        time.sleep(0.1)
    return found


def ledger_events(home: Path, name: str, kind: str) -> list[dict[str, Any]]:
    """Of a search's ledger."""
    path = Home(home).run(name).ledger
    return [event for event in read_events(path)[0] if event["kind"] == kind] if path.exists() else []


def hosts(reports: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Host -> how many folds of these rung reports were trained there."""
    found: dict[str, int] = {}
    for report in reports:
        for where in report["where"].values():
            host = where.rpartition(":")[0]
            found[host] = found.get(host, 0) + 1
    return found


def tell(folder: Path, stories: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """Tell stories one after the other into ``seen.json``; one that fails is told as its traceback."""
    seen: dict[str, Any] = {}
    for name, story in stories.items():
        begun = time.monotonic()
        try:
            seen[name] = story()
        except Exception:  # noqa: BLE001  (the test that reads it fails)
            seen[name] = {"failed": traceback.format_exc()}
        seen[name]["took"] = time.monotonic() - begun
        (folder / "seen.json").write_text(json.dumps(seen, indent=1))
