"""Processes that were started here, and nothing but these, ended."""

import contextlib
import subprocess
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
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status as a shell gives it (128 + n for signal n), None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def signal(self, number: int) -> None:
        """Send a signal to the command alone; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def last_line(self) -> str:
        """Of its log, for a message."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log and self.log.exists() else []
        return lines[-1].strip() if lines else "it said nothing"

    def end(self, grace: float = GRACE) -> None:
        """End it and all that it started: asked first, killed after ``grace`` seconds."""
        family = self._family()
        self._process.terminate()
        _, alive = psutil.wait_procs(family, timeout=grace)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=grace)
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
