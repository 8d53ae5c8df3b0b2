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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from aio_tune.ledger import read_events
from aio_tune.search.director import Director
from aio_tune.search.feasibility import Feasibility
from aio_tune.search.study import OptunaStudy
from aio_tune.search_space import SearchSpec, default_rungs
from aio_tune.trial import RungReport

TABLE = Path(__file__).parent / "data" / "curves.parquet"
SEEDS = 30
CLOSE = 0.005
GENES = 1024


@dataclass(frozen=True)
class Curves:
    """Recorded configurations and their validation AUC, shape (n, folds, epochs)."""

    params: list[dict[str, Any]]
    auc: npt.NDArray[np.float64]


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
    """The recorded table."""
    table = pd.read_parquet(TABLE).sort_values(["trial", "fold"])
    trials = [rows for _, rows in table.groupby("trial")]
    return Curves(
        [json.loads(rows["params"].iloc[0]) for rows in trials],
        np.stack([np.stack(rows["valid_auc"].to_list()) for rows in trials]),
    )


def replay(
    curves: Curves, order: Sequence[int], rungs: Sequence[tuple[int, int]], pruner: str
) -> list[tuple[int, float]]:
    """One search; after each complete trial, fold-epochs spent so far and the best CV mean so far."""
    folds = curves.auc.shape[1]
    space = {name: {"choice": _options(curves.params, name)} for name in sorted({n for p in curves.params for n in p})}
    spec = SearchSpec.model_validate({
        "task": "nhg", "trials": len(order), "folds": folds, "rungs": rungs, "sampler": "random", "pruner": pruner,
        "space": space, "start": [curves.params[i] for i in order],
    })  # fmt: skip
    by_number = dict(enumerate(order))
    director = Director(spec, OptunaStudy(spec), _AsDrawn(spec), _unwritten)
    spent, best, progress = 0, -np.inf, []
    while (assignment := director.ask()) is not None:
        auc = curves.auc[by_number[assignment.trial]]
        trained = np.zeros(folds, int)
        for rung, (n_folds, epoch) in enumerate(rungs):
            spent += int((epoch - trained[:n_folds]).sum())
            trained[:n_folds] = epoch
            metrics = {str(fold): {"auc": float(auc[fold, epoch - 1])} for fold in range(n_folds)}
            value = float(np.mean([fold["auc"] for fold in metrics.values()]))
            if not director.hear(
                assignment.trial, RungReport(rung, tuple(range(n_folds)), epoch, value, 0.0, 1, metrics)
            ):
                break
        trial = director.state.trials[assignment.trial]
        if trial.state == "COMPLETE" and trial.value is not None:
            best = max(best, trial.value)
            progress.append((spent, best))
    return progress


class _AsDrawn(Feasibility):
    """Every recorded configuration is feasible and is another one, whatever the network of today makes of it."""

    def __init__(self, spec: SearchSpec) -> None:
        super().__init__(spec, GENES, 3)

    def refusal(self, params: Mapping[str, Any]) -> str:
        return ""

    def identity(self, params: Mapping[str, Any]) -> str:
        return json.dumps(params, sort_keys=True)


def _unwritten(kind: str, **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "time": 0.0, **facts}


def _options(params: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return list({json.dumps(p[name]): p[name] for p in params if name in p}.values())


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
