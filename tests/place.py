"""A folder in which the command line is used as a user would."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from aio_tune.ledger import read_events

PATIENCE = 500
"""Seconds that a command may take on a busy machine."""


class Place:
    """A folder with the simulated files, the dataset and the home of the searches.

    Args:
        folder: exists.
        space: text of a search space, kept as ``tiny.yaml``.
    """

    def __init__(self, folder: Path, space: str) -> None:
        self.geo, self.dataset, self.home = folder / "geo", folder / "dataset", folder / "home"
        self.space = folder / "tiny.yaml"
        self.space.write_text(space)

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "aio_tune.cli", *map(str, words)]

    def run(self, *words: object) -> str:
        """What a command says that must succeed."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refuse(self, *words: object) -> str:
        """The one line of a command that must not succeed."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 1, done.stdout + done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr

    def events(self, name: str, kind: str = "") -> list[dict[str, Any]]:
        """What the ledger of a search holds, of one kind or all."""
        path = self.home / "runs" / name / "ledger.jsonl"
        events = read_events(path)[0] if path.exists() else []
        return [event for event in events if kind in ("", event["kind"])]


def is_alive(process: psutil.Process) -> bool:
    """A zombie is not: it has ended, and its parent is to take note."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
