"""Starts a lab in namespaces of its own, and gives what it saw."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNSHARE = ("unshare", "--mount", "--pid", "--net", "--uts", "--fork", "--mount-proc")
ROOT = Path(__file__).parents[2]


def missing(*programs: str) -> str:
    """Why no lab can be set up here; empty where one can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces of its own"
    absent = [program for program in ("unshare", "nsenter", "ip", "mount", *programs) if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: iproute2, slurm-wlm, munge)"
    tried = subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    return f"may not make namespaces: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def seen(lab: str, stories: Sequence[str], timeout: float) -> Iterator[dict[str, Any]]:
    """What a lab saw, by story.

    Args:
        lab: a module of this folder.
        stories: names of its functions, told in this order.
        timeout: seconds for all of them.
    """
    # Not below pytest's folders: a node's sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        words = [*UNSHARE, "--kill-child", sys.executable, "-m", f"tests.cluster.{lab}", folder, *stories]
        with (Path(folder) / "lab.log").open("wb") as log:
            subprocess.run(words, stdout=log, stderr=log, check=False, cwd=ROOT, timeout=timeout)
        told = Path(folder) / "seen.json"
        assert told.exists(), (Path(folder) / "lab.log").read_text()
        yield json.loads(told.read_text())


def story_of(told: dict[str, Any], name: str) -> dict[str, Any]:
    """One of the stories, which must have come to its end."""
    story: dict[str, Any] = told.get(name, {"failed": "it was not told"})
    assert "failed" not in story, story["failed"]
    return story


def complete(story: dict[str, Any], trials: int) -> bool:
    """Whether a search came to its end with all trials complete, and no rung trained or counted twice."""
    rungs = [tuple(rung) for rung in story["rungs"]]
    return story["states"] == ["COMPLETE"] * trials and len(rungs) == len(set(rungs)) == 2 * trials
