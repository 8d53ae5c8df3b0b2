"""Processes that were started here, and nothing but these, ended."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

# How long Ray's processes get to end by themselves once they are told; a raylet takes about 3 s.
GRACE = 15.0


class Process:
    """A command in a session of its own, with all that it starts.

    Args:
        command: its words.
        environment: its environment.
        log: where its output goes, appended; None: to where this process's own goes.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path | None = None) -> None:
        self.log = log
        output: IO[bytes] | None = log.open("ab") if log else None
        try:
            # A session of its own: Ctrl-C at a terminal is for the one who started it, who passes on what is due.
            self._process = subprocess.Popen(  # noqa: S603  (the words are ours, and no shell reads them)
                list(command), env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT if output else None, start_new_session=True,
            )  # fmt: skip
        finally:
            if output:
                output.close()

    @property
    def status(self) -> int | None:
        """Exit status as a shell gives it (128 + n for signal n), None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def signal(self, number: int) -> None:
        """Send a signal to the command alone; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def wait(self) -> None:
        """Until it has ended."""
        self._process.wait()

    def last_line(self) -> str:
        """Of its log, for a message."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log and self.log.exists() else []
        return lines[-1].strip() if lines else "it said nothing"

    def end(self, grace: float = GRACE) -> None:
        """End it and all that it started: asked first, killed after ``grace`` seconds."""
        end_all([self], signal.SIGTERM, grace)

    def family(self) -> list[psutil.Process]:
        """It and all that it started, as far as these run."""
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def end_all(processes: Sequence[Process], ask: int, grace: float = GRACE) -> None:
    """End some processes, all at one time, and what they started.

    Args:
        processes: to be ended; those that have ended are passed over.
        ask: the signal that asks them to.
        grace: seconds after which what still runs is killed.
    """
    families = [member for process in processes for member in process.family()]
    for process in processes:
        process.signal(ask)
    deadline = time.monotonic() + grace
    while True:
        # In a container nobody may reap what has lost its parent: a zombie has ended.
        alive = [member for member in families if _runs(member)]
        if not alive or time.monotonic() >= deadline:
            break
        time.sleep(0.1)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    for process in processes:
        process.wait()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
