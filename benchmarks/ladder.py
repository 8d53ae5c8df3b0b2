"""What the rung ladder saves: recorded learning curves replayed through the real director, study and pruner.

    python -m benchmarks.ladder record LEDGER   a search with one rung of all folds -> benchmarks/data/curves.parquet
    python -m benchmarks.ladder                 replay it, print the table, write ladder.json beside this file

The table shipped here was recorded on the simulated GSE96058 of `aio-tune demo` (NHG, 5 folds, 27 epochs, random
configurations around search_spaces/demo.yaml). A replay draws its configurations in an order of its own; the full
search trains each on all folds to the last epoch, the ladder by its rungs. Both are given the same configurations.
For each of 30 orders: the fold-epochs that the ladder had spent when it had a complete trial within 0.005 of the full
search's best CV mean, as a share of what the full search spends.
"""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aio_tune.ledger import read_events
from aio_tune.search_space import default_rungs
from benchmarks.curves import Curves
from benchmarks.replay import replay as simulate

TABLE = Path(__file__).parent / "data" / "curves.parquet"
SEEDS = 30
CLOSE = 0.005


def record(ledger: Path) -> None:
    """Write the curves of every complete trial of a search to ``TABLE``, one row per configuration and fold."""
    events = read_events(ledger)[0]
    complete = {event["trial"] for event in events if event["kind"] == "trial_ended" and event["state"] == "COMPLETE"}
    params = {event["trial"]: event["params"] for event in events if event["kind"] == "trial_asked"}
    rows = [
        {"trial": event["trial"], "fold": int(fold), "params": json.dumps(params[event["trial"]]),
         "valid_auc": np.round(curves["valid_auc"], 5)}
        for event in events if event["kind"] == "rung_reported" and event["trial"] in complete
        for fold, curves in event["curves"].items()
    ]  # fmt: skip
    TABLE.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(TABLE, index=False)
    print(f"{len(complete)} configurations in {TABLE.name}")


def load() -> Curves:
    """The recorded table, in fold-epochs: each costs one, and nothing else costs anything."""
    table = pd.read_parquet(TABLE).sort_values(["trial", "fold"])
    trials = [rows for _, rows in table.groupby("trial")]
    auc = np.stack([np.stack(rows["valid_auc"].to_list()) for rows in trials])
    params = [json.loads(rows["params"].iloc[0]) for rows in trials]
    return Curves("nhg", params, auc, start=np.zeros(len(auc)), epoch=np.ones(len(auc)))


def replay(
    curves: Curves, order: Sequence[int], rungs: Sequence[tuple[int, int]], pruner: str
) -> list[tuple[int, float]]:
    """One search; after each complete trial, fold-epochs spent so far and the best CV mean so far."""
    return [(round(spent), best) for spent, best in simulate(curves, order, rungs, pruner).best]


def main() -> None:
    """Print one line per ladder and pruner; write them as JSON."""
    if sys.argv[1:2] == ["record"]:
        record(Path(sys.argv[2]))
        return
    curves = load()
    n, folds, epochs = curves.auc.shape
    full = n * folds * epochs
    target = float(curves.auc[:, :, -1].mean(axis=1).max()) - CLOSE
    ladders = {
        "default": default_rungs(folds, epochs),
        "longer first rung": ((1, epochs // 3), (2, epochs // 2), (folds, epochs)),
        "folds first": ((1, epochs - 2), (2, epochs - 1), (folds, epochs)),
        "epochs only": ((folds, epochs // 9), (folds, epochs // 3), (folds, epochs)),
    }
    print(
        f"{n} configurations x {folds} folds x {epochs} epochs; best CV AUC {target + CLOSE:.4f}, target {target:.4f}"
    )
    print(
        f"{'ladder':<20}{'pruner':<11}{'reached':>8}  share of the full search's fold-epochs: median [min, max]   spent"
    )
    results: dict[str, Any] = {}
    for name, rungs in ladders.items():
        for pruner in ("halving", "median", "percentile", "none"):
            shares, spent = [], []
            for seed in range(SEEDS):
                order = np.random.default_rng(seed).permutation(n).tolist()
                progress = replay(curves, order, rungs, pruner)
                shares.append(next((cost / full for cost, best in progress if best >= target), np.inf))
                spent.append(progress[-1][0] / full)
            reached = sum(np.isfinite(shares))
            line = {"reached": reached, "median": statistics.median(shares), "min": min(shares), "max": max(shares),
                    "spent": statistics.median(spent)}  # fmt: skip
            results[f"{name}, {pruner}"] = line
            print(f"{name:<20}{pruner:<11}{reached:>5}/{SEEDS}  {line['median']:>10.3f} [{line['min']:.3f}, "
                  f"{line['max']:.3f}] {line['spent']:>28.3f}", flush=True)  # fmt: skip
    facts = {"configurations": n, "folds": folds, "epochs": epochs, "target": target, "seeds": SEEDS, **results}
    Path(__file__).with_suffix(".json").write_text(json.dumps(facts, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
