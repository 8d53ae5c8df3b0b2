"""A search's winner against variants of it, fold by fold on the same new splits.

What is asked: does the picture's geometry help (``layout=shuffled``), is one channel as good as four
(``layout=stacked`` against ``square``), is two-dimensional better than one-dimensional (``layout=1d``)? The winner was
chosen among many configurations and its variant among one, so a small difference in the winner's favour means little.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from aio_tune.config import Home, RunFolder
from aio_tune.dataset import AioDataset
from aio_tune.errors import SearchError, SpaceError, TrialError
from aio_tune.kinds import EXPRESSION
from aio_tune.ledger import Ledger, read_events
from aio_tune.metrics import mean_sd
from aio_tune.paired import paired_difference
from aio_tune.search.confirm import (
    confirm_folder,
    finished_search,
    new_splits,
    run_configurations,
    run_means,
    runs_begun,
    same_rows,
    vary,
)
from aio_tune.search.leaderboard import read_state
from aio_tune.search.rows import TrainingRows
from aio_tune.search.run import Event, ignore
from aio_tune.search.state import SearchState
from aio_tune.training import configuration, input_shape


def parse_variant(text: str) -> dict[str, Any]:
    """``"layout=1d kernel_size=9"`` -> parameter -> value (YAML).

    Raises:
        SpaceError: it is not of that form.
    """
    changes: dict[str, Any] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise SpaceError(f"Expected a variant such as layout=shuffled. Received {text!r}.")
        try:
            changes[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SpaceError(f"Expected a value after {name}=. Received {value!r}.") from error
    if not changes:
        raise SpaceError("Expected a variant such as layout=shuffled. Received nothing.")
    return changes


def check_variant(
    variant: str, winner: Mapping[str, Any], n_genes: int, kinds: Sequence[str] = (EXPRESSION,)
) -> dict[str, Any]:
    """The changes that a variant makes to the winner's parameters.

    Args:
        variant: e.g. ``"layout=shuffled"``.
        winner: its parameters.
        n_genes: of the data.
        kinds: of omics that the data have.

    Raises:
        SpaceError: it is not of the form, cannot be trained, or changes nothing.
    """
    changes = parse_variant(variant)
    try:
        same = configuration({**winner, **changes}) == configuration(winner)
        input_shape({**winner, **changes}, n_genes, kinds)
    except TrialError as error:
        raise SpaceError(f"Expected a variant that can be trained. Received {variant!r}: {error}") from error
    if same:
        raise SpaceError(f"Expected another configuration than the winner's. Received {variant!r}, which it has.")
    return changes


def variant_folder(home: Home, name: str, trial: int, variant: str) -> RunFolder:
    """Where the runs of a variant of a trial are."""
    slug = "".join(letter if letter.isalnum() or letter in "=._-" else "_" for letter in variant)
    return RunFolder(confirm_folder(home, name, trial).path / "variants" / slug)


def run_variant(
    home: Home,
    name: str,
    variant: str,
    dataset: AioDataset,
    rows: TrainingRows,
    runs: int,
    *,
    address: str = "local",
    on_event: Callable[[Event], None] = ignore,
    overrides: Sequence[str] = (),
) -> SearchState:
    """Cross-validate a variant of the winner on the splits on which the winner was confirmed, and note the comparison.

    Args:
        home: where the search is.
        name: the search's; ``confirm_runs`` has done as many runs of its winner.
        variant: what is different, e.g. ``"layout=shuffled"``.
        dataset: what it was searched on.
        rows: what ``training_rows`` gives for it.
        runs: how many splits.
        address: as of ``run_search``.
        on_event: as of ``run_search``.
        overrides: as of ``finished_search``.

    Returns:
        The runs, as trials of a search of their own; ``ended`` is empty when they were interrupted.

    Raises:
        SpaceError: the variant is not one of the winner.
        SearchError: the winner was not confirmed so often; or as ``confirm_runs``.
    """
    state, best, spec = finished_search(home, name, overrides)
    same_rows(state, rows, dataset)
    changes = check_variant(variant, best.params, len(dataset.genes), rows.kinds)
    folder = variant_folder(home, name, best.number, variant)
    runs = max(runs, runs_begun(folder))
    configurations = [{**vary(best.params, spec.seed, run), **changes} for run in range(runs)]
    facts = {"varies": {"search": name, "trial": best.number, "changes": changes}}
    found = run_configurations(
        home, f"{name}/{variant}", spec, configurations, dataset, rows,
        folder, facts, address, on_event, new_splits(rows, spec.seed, runs),
    )  # fmt: skip
    if found.ended:
        _note(home, name, variant, found, confirm_folder(home, name, best.number), rows.folds.k)
    return found


def compare_runs(variant: SearchState, reference: SearchState, folds: int) -> dict[str, Any]:
    """What two sets of runs on the same splits differ by.

    Args:
        variant: runs of the variant.
        reference: runs of the winner; more than the variant's are not looked at.
        folds: of one split.

    Returns:
        ``runs``; ``metrics`` of the variant and ``reference`` of the winner, metric -> (mean, sd) over the runs;
        ``differences``, metric -> ``PairedDifference`` as a dictionary.

    Raises:
        SearchError: a run of either did not finish.
    """
    pairs = []
    for number, trial in sorted(variant.trials.items()):
        winner = reference.trials.get(number)
        if winner is None or not trial.state == winner.state == "COMPLETE":
            reason = trial.reason if winner is not None and winner.state == "COMPLETE" else "the winner's is missing"
            raise SearchError(f"Expected run {number} of variant and winner to be complete. Received: {reason}.")
        pairs.append((trial.fold_metrics, winner.fold_metrics))
    differences = {}
    for metric in next(iter(pairs[0][0].values())):
        values = [(one[fold][metric], other[fold][metric]) for one, other in pairs for fold in sorted(one)]
        if all(value is not None and math.isfinite(value) for pair in values for value in pair):
            of_variant, of_winner = zip(*values, strict=True)
            differences[metric] = asdict(paired_difference(of_variant, of_winner, folds))
    first = run_means(reference)[: len(pairs)]
    return {
        "runs": len(pairs),
        "metrics": mean_sd(run_means(variant)),
        "reference": mean_sd(first),
        "differences": differences,
    }


def _note(home: Home, name: str, variant: str, found: SearchState, reference: RunFolder, folds: int) -> None:
    """Write the comparison into the search's ledger, once."""
    winner = SearchState.of(read_events(reference.ledger)[0])
    facts: Mapping[str, Any] = {"variant": variant, **compare_runs(found, winner, folds)}
    before = read_state(home, name).compared.get(variant, {})
    if before.get("runs") != facts["runs"] or before.get("differences") != facts["differences"]:
        with Ledger(home.run(name).ledger) as ledger:
            ledger.append("compared", **facts)
