"""A side's process: started, watched, and stopped as soon as it is good enough or has had its time."""

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

EVERY = 1.0
"""Seconds between two looks; times are those that a side wrote down, so nothing depends on it."""
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "RAY_USAGE_STATS_ENABLED": "0", "CUDA_VISIBLE_DEVICES": ""}


def watch(
    command: Sequence[str],
    folder: Path,
    complete: Callable[[Path], list[dict[str, float]]],
    target: float = math.inf,
    cap: float = math.inf,
) -> dict[str, Any]:
    """Run a side to the target, to the cap, or to its own end.

    Args:
        command: of the side.
        folder: of what it writes; there, and empty.
        complete: reads from that folder when each complete trial had ended, its value and the seconds it took.
        target: value that is good enough.
        cap: seconds since the command was started.

    Returns:
        ``best``: pairs (seconds since the command was started, best value so far), one for each complete trial;
        ``trial_seconds``: that each of them took by itself.
    """
    began = time.time()
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
        )
    try:
        while process.poll() is None and time.time() - began < cap:
            if any(trial["value"] >= target for trial in complete(folder)):
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(EVERY)
    finally:
        stopped = process.poll() is None
        _stop(process)
    trials = [trial for trial in complete(folder) if trial["time"] - began <= cap]
    if process.returncode and not stopped:
        tail = (folder / "output.txt").read_text()[-4000:]
        raise SystemExit(f"{tail}\nA side ended by itself with status {process.returncode}: {command}")
    best, highest = [], -math.inf
    for trial in trials:
        highest = max(highest, trial["value"])
        best.append((round(trial["time"] - began, 2), highest))
    return {"best": best, "trial_seconds": [round(trial["seconds"], 2) for trial in trials]}


def reached(best: Sequence[Sequence[float]], target: float) -> float | None:
    """Seconds until a complete trial was at least as good; None if none was."""
    return next((seconds for seconds, value in best if value >= target), None)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """As by Ctrl-C, so that it takes down a Ray that it has started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
    if process.poll() is None:
        process.kill()
        process.wait()
