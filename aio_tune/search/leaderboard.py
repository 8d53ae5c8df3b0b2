"""A search's trials as rows, best first."""

from pathlib import Path
from typing import Any

from aio_tune.config import Home
from aio_tune.errors import SearchError
from aio_tune.ledger import read_events
from aio_tune.search.state import SearchState


def read_state(home: Home, name: str) -> SearchState:
    """What is known of the search ``name``.

    Raises:
        SearchError: there is no such search.
    """
    run = home.run(name)
    if not run.ledger.exists():
        raise SearchError(
            f"Expected the name of a search in {home.path}. Received {name!r}.",
            f"Searches there: {', '.join(search_names(home)) or 'none'}.",
        )
    events, _ = read_events(run.ledger)
    return SearchState.of(events)


def search_names(home: Home) -> list[str]:
    """Names of the searches in ``home``, oldest first."""
    return [path.parent.name for path in sorted(home.runs.glob("*/ledger.jsonl"), key=_begun)]


def leaderboard(state: SearchState) -> list[dict[str, Any]]:
    """One row per trial, ready for a table or for JSON; the winner is the first COMPLETE one.

    With two goals ``front`` says whether no other trial beats this one at one goal without being worse at the other.
    """
    metric = state.started.get("settings", {}).get("metric", "auc")
    front = {trial.number for trial in state.front} if state.second_goal else set()
    rows = []
    for rank, trial in enumerate(state.ranked(), start=1):
        mean, sd = trial.cv.get(metric, (trial.value, None))
        rows.append(
            {
                "rank": rank,
                "trial": trial.number,
                "state": trial.state,
                **({"front": trial.number in front} if state.second_goal else {}),
                f"cv_{metric}_mean": mean,
                f"cv_{metric}_sd": sd,
                "folds": len(trial.folds),
                "rung": trial.rung,
                "epoch": trial.epoch,
                "seconds": round(trial.seconds, 1),
                "parameters": trial.parameters,
                "reason": trial.reason,
                "params": trial.params,
            }
        )
    return rows


def _begun(ledger: Path) -> float:
    return ledger.parent.stat().st_ctime
