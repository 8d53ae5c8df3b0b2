"""Recorded learning curves of real patients: a search that stops nobody -> benchmarks/data/real_curves.parquet.

    python -m benchmarks.curves LEDGER [LEDGER ...]

One row for each configuration and fold: task, trial, fold, the configuration, its validation AUC after every epoch, and
two figures of the trial's training time on one core. The searches, on the 300 profiles of the GSE96058 subset with
random configurations of search_spaces/ki67.yaml and nhg.yaml, for each TASK:

    aio-tune search search_spaces/TASK.yaml --data DATASET --trials 48 --set rungs='[[1, 1], [5, 27]]' --set pruner=none
        --set sampler=random --set start='[]' --set layout_control=false --name TASK_curves

The first rung is one epoch of one fold: what it takes beyond one of the second rung's epochs is what a configuration
costs before it is trained at all (fitting the preprocessing, building and tracing the network).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from aio_tune.ledger import read_events

TABLE = Path(__file__).parent / "data" / "real_curves.parquet"


@dataclass(frozen=True)
class Curves:
    """Recorded configurations of one task.

    Attributes:
        task: its name.
        params: configurations, n of them.
        auc: validation AUC, shape (n, folds, epochs).
        start: seconds of a configuration before its first epoch, shape (n,).
        epoch: seconds of one epoch of one fold on one core, shape (n,).
    """

    task: str
    params: list[dict[str, Any]]
    auc: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    epoch: npt.NDArray[np.float64]


def load(task: str) -> Curves:
    """The recorded table of one task."""
    table = pd.read_parquet(TABLE)
    table = table[table["task"] == task].sort_values(["trial", "fold"])
    trials = [rows for _, rows in table.groupby("trial")]
    return Curves(
        task,
        [json.loads(rows["params"].iloc[0]) for rows in trials],
        np.stack([np.stack(rows["valid_auc"].to_list()) for rows in trials]),
        np.array([rows["start_seconds"].iloc[0] for rows in trials]),
        np.array([rows["epoch_seconds"].iloc[0] for rows in trials]),
    )


def tasks() -> list[str]:
    """Tasks that were recorded."""
    return sorted(pd.read_parquet(TABLE, columns=["task"])["task"].unique())


def rows_of(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of every complete trial that was trained, of one search."""
    settings = events[0]["settings"]
    fold_epochs = [int(folds * epochs) for folds, epochs in settings["rungs"]]
    ended = {event["trial"] for event in events if event["kind"] == "trial_ended" and event["state"] == "COMPLETE"}
    params = {event["trial"]: event["params"] for event in events if event["kind"] == "trial_asked"}
    reports: dict[int, list[Mapping[str, Any]]] = {}
    for event in events:
        if event["kind"] == "rung_reported" and event["trial"] in ended:
            reports.setdefault(event["trial"], []).append(event)
    rows = []
    for trial, (first, second) in reports.items():
        epoch = second["seconds"] / (fold_epochs[1] - fold_epochs[0])
        for fold, curve in second["curves"].items():
            before = first["curves"].get(fold, {}).get("valid_auc", [])
            rows.append({
                "task": settings["task"], "trial": trial, "fold": int(fold), "params": json.dumps(params[trial]),
                "start_seconds": round(max(0.0, first["seconds"] - epoch), 3), "epoch_seconds": round(epoch, 4),
                "valid_auc": np.round([*before, *curve["valid_auc"]], 5),
            })  # fmt: skip
    return rows


def main() -> None:
    """Write the table anew from the ledgers named."""
    rows = [row for path in sys.argv[1:] for row in rows_of(read_events(Path(path))[0])]
    table = pd.DataFrame(rows)
    table.to_parquet(TABLE, index=False)
    print(table.groupby("task")[["trial", "fold"]].nunique())


if __name__ == "__main__":
    main()
