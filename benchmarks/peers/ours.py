"""The project's own command, as it is, and what its ledger says of it."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from aio_tune.config import Home
from aio_tune.ledger import read_events

NAME = "search"
TRIALS = 1000


def command(arguments: argparse.Namespace, overrides: list[str], folder: Path, target: float) -> list[str]:
    """A search that ends when a complete trial is as good as the target."""
    settings = [*overrides, f"budget.target={target}", "layout_control=false"]
    return [
        sys.executable, "-m", "aio_tune.cli", "search", str(arguments.space), "--data", str(arguments.dataset),
        "--home", str(folder), "--name", NAME, "--trials", str(TRIALS),
        *(word for setting in settings for word in ("--set", setting)),
    ]  # fmt: skip


def complete(folder: Path) -> list[dict[str, float]]:
    """When each complete trial had ended, its value and the seconds that it trained."""
    ledger = Home(folder).run(NAME).ledger
    events = read_events(ledger)[0] if ledger.exists() else []
    seconds: Counter[int] = Counter()
    found = []
    for event in events:
        if event["kind"] == "rung_reported":
            seconds[event["trial"]] += event["seconds"]
        # A twin of an earlier configuration has its value and has taken no time: it is not one more trial.
        elif event["kind"] == "trial_ended" and event["state"] == "COMPLETE" and event["trial"] in seconds:
            found.append({"time": event["time"], "value": event["value"], "seconds": seconds[event["trial"]]})
    return found
