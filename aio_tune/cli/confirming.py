"""The command that confirms a search's winner."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aio_tune.cli.console import (
    DEFAULT_HOME,
    AddressOption,
    HomeOption,
    JsonOption,
    TrackingOption,
    command_line,
    home_of,
    say,
    say_json,
    say_table,
    store_uri,
)
from aio_tune.cli.following import Follower
from aio_tune.errors import SearchError
from aio_tune.files import read_json, write_json
from aio_tune.numbers import interval, mean_sd, number, p_value

if TYPE_CHECKING:
    from aio_tune.config import Home, RunFolder
    from aio_tune.folds import Folds
    from aio_tune.search.rows import TrainingRows
    from aio_tune.search.state import SearchState

# Below it three decimals would say that a p value is zero.
_SMALL = 0.001


def confirm(
    name: Annotated[str, typer.Argument(help="A search's name; it has ended.")],
    runs: Annotated[int, typer.Option(help="Runs on new splits, at least 5.")] = 5,
    nested: Annotated[
        bool, typer.Option("--nested", help="Repeat the whole search inside an outer cross-validation instead.")
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help='Compare with a variant on the same splits, e.g. "layout=shuffled"; repeatable.'
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="With --nested: trials of each search. Default: as the search had.", min=1)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="resources.KEY=VALUE", help="Other resources than the search had; repeatable."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The AIO dataset, if it was moved since the search.")] = None,
    address: AddressOption = "local",
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Measure a search's winner again: on new splits of the patients, or by nested cross-validation.

    Run it again to go on after an interruption; what is done is not done again.

    Example: aio-tune confirm ki67 --runs 5
    """
    from aio_tune.search.confirm import confirm_runs, finished_search
    from aio_tune.search.leaderboard import read_state
    from aio_tune.search.nested import confirm_nested
    from aio_tune.search.variants import check_variant, run_variant
    from aio_tune.tracking.client import redacted

    place = home_of(home)
    changed = tuple(overrides or ())
    state, best, spec = finished_search(place, name, changed)
    folder = data or Path(state.started["dataset"]["path"])
    dataset, rows = _open(folder, spec)
    for variant in against or []:
        check_variant(variant, best.params, len(dataset.genes), rows.kinds)  # before anything is trained
    if nested and against:
        raise SearchError("Expected --nested or --against. Received both.", "Run one after the other.")
    uri = store_uri(tracking_uri, place)
    follower = Follower(uri, f"aio-{spec.task}", quiet=as_json)
    if nested:
        say_unless(as_json, f"nested cross-validation of {name}: {spec.folds} searches of {trials or spec.trials} "
                   "trials, each without one outer fold")  # fmt: skip
        results = confirm_nested(
            place, name, dataset, rows, trials=trials, address=address, overrides=changed,
            follow=lambda outer, run: follower.follow(run, spec.metric, trials or spec.trials, len(spec.rungs)),
        )  # fmt: skip
        done = results is not None
    else:
        say_unless(as_json, f"confirming {name}: {runs} runs of {spec.folds} folds x {spec.epochs} epochs, new splits")
        follow = follower.follow(_confirm_folder(place, name, state), spec.metric, runs)
        how: dict[str, Any] = {"address": address, "overrides": changed}
        done = bool(confirm_runs(place, name, dataset, rows, runs, on_event=follow, **how).ended)
        for variant in (against or []) if done else []:
            say_unless(as_json, f"the same with {variant}")
            follow = follower.follow(_variant_folder(place, name, state, variant), spec.metric, runs)
            done = bool(run_variant(place, name, variant, dataset, rows, runs, on_event=follow, **how).ended)
            if not done:
                break
    follower.close(hurry=not done)
    if not done:
        given = {
            "--nested": nested, "--runs": None if nested else runs, "--against": against, "--trials": trials,
            # The address of the job that this runs in will not be that of the next one.
            "--set": changed, "--data": data,
            "--address": None if address in ("local", os.environ.get("RAY_ADDRESS")) else address,
            "--tracking-uri": redacted(tracking_uri), "--home": home if home != DEFAULT_HOME else None,
        }  # fmt: skip
        raise SearchError(
            f"The confirmation of {name} was interrupted; nothing finished is lost.",
            f"Go on with: {command_line('aio-tune', 'confirm', name, *_words(given))}",
        )
    follower.send(place.run(name))
    report = compare(read_state(place, name), rows, place.run(name).path / "baseline_confirm.json")
    if as_json:
        say_json({"name": name, **report})
    else:
        print_report(name, report)


def compare(state: "SearchState", rows: "TrainingRows", path: Path) -> dict[str, Any]:
    """All numbers of a search beside each other, from the most to the least flattering, with the baselines.

    Args:
        state: the search, with what was confirmed of it.
        rows: what it learnt from, with its folds.
        path: baselines are computed once per protocol and kept there.
    """
    from aio_tune.search.confirm import new_splits
    from aio_tune.search.nested import outer_split

    seed, best = state.started["settings"]["seed"], state.best
    lines: list[dict[str, Any]] = []
    if best is not None:
        lines.append({"who": f"network, trial {best.number}", "protocol": "search", "n": rows.folds.k,
                      "over": "folds that chose it", "metrics": best.cv})  # fmt: skip
    kept = read_json(path) or {}
    for protocol, over in (("runs", "runs on new splits"), ("nested", "outer folds never seen")):
        confirmed = state.confirmed.get(protocol)
        if confirmed is None:
            continue
        n = len(confirmed["results"])
        who = "network, varied" if protocol == "runs" else _whole_search(confirmed, state)
        lines.append({"who": who, "protocol": protocol, "n": n, "over": over, "metrics": confirmed["metrics"]})
        key = f"{protocol} {n}"
        if key not in kept:
            splits = new_splits(rows, seed, n) if protocol == "runs" else (outer_split(rows, seed),)
            kept[key] = _baseline(rows, splits, seed)
            write_json(path, kept)
        lines.append({"who": "PCA + logistic regression", "protocol": protocol, "n": n, "over": over,
                      "metrics": kept[key]})  # fmt: skip
    compared = [{key: event[key] for key in ("variant", "runs", "metrics", "reference", "differences")}
                for event in state.compared.values()]  # fmt: skip
    return {"task": rows.task.name, "class_counts": rows.class_counts(), "folds": rows.folds.k, "lines": lines,
            "compared": compared}  # fmt: skip


def _words(options: Mapping[str, object]) -> list[object]:
    """The words of a command for those options that were given."""
    words: list[object] = []
    for option, value in options.items():
        if value is True:
            words.append(option)
        elif isinstance(value, list | tuple):
            words += [word for one in value for word in (option, one)]
        elif value:
            words += [option, value]
    return words


def _whole_search(confirmed: Mapping[str, Any], state: "SearchState") -> str:
    """What was judged on the outer folds; with its number of trials where the search has another one by now."""
    trials = confirmed.get("trials", state.settings["trials"])
    return "whole search" if trials == state.settings["trials"] else f"whole search, {trials} trials"


def print_report(name: str, report: Mapping[str, Any]) -> None:
    """The table of ``compare``, and which number is which."""
    from aio_tune.metrics import IN_TABLES

    metrics = [metric for metric in IN_TABLES if metric in report["lines"][0]["metrics"]]
    counts = ", ".join(f"{label} {count}" for label, count in report["class_counts"].items())
    table = [[line["who"], f"{line['n']} {line['over']}", *[mean_sd(line["metrics"][m]) for m in metrics]]
             for line in report["lines"]]  # fmt: skip
    say_table(f"{name}: {report['task']}, mean ± sd ({counts})", ["", "over", *metrics], table)
    say("Folds that chose it: the search's own number, the best of many on these very folds. It flatters.")
    for compared in report["compared"]:
        _print_variant(compared)
    said = {line["protocol"] for line in report["lines"]}
    if "runs" in said:
        say("New splits: other folds, but the configuration was still chosen on these patients. It flatters a little.")
    if "nested" in said:
        say("Outer folds: no search saw the patients it is judged on. Free of selection bias, but for ranges and"
            " starting points that were found on these patients. This is the one to report.")  # fmt: skip
    else:
        say(f"Free of selection bias: {command_line('aio-tune', 'confirm', name, '--nested')} (takes "
            f"{report['folds']} whole searches), or a cohort that the search never saw.")  # fmt: skip


def _print_variant(compared: Mapping[str, Any]) -> None:
    """A variant beside the winner, and what the difference allows to say."""
    from aio_tune.metrics import IN_TABLES

    differences = compared["differences"]
    metrics = [metric for metric in IN_TABLES if metric in differences]
    shown = [differences[m] for m in metrics]
    say_table(
        f"{compared['variant']} against the winner, the same {compared['runs']} splits, mean ± sd over runs",
        ["", *metrics],
        [
            ["winner", *[mean_sd(compared["reference"][m]) for m in metrics]],
            [compared["variant"], *[mean_sd(compared["metrics"][m]) for m in metrics]],
            ["difference [95 %]", *[interval((one["mean"], one["low"], one["high"])) for one in shown]],
            ["p, corrected", *[p_value(p) if p < _SMALL else number(p) for p in (one["p"] for one in shown)]],
        ],
    )
    say(f"{compared['variant']}: {verdict(differences.get('auc') or shown[0])}")


def verdict(difference: Mapping[str, float]) -> str:
    """A paired difference in words."""
    if difference["low"] > 0:
        return "better than the winner on the same folds."
    if difference["high"] < 0:
        return "worse than the winner on the same folds."
    return (f"no difference was found: what is changed neither helps nor harms on these folds, as far as they can "
            f"tell ({difference['low']:+.3f} to {difference['high']:+.3f}).")  # fmt: skip


def say_unless(quiet: bool, line: str) -> None:
    """Print a line, unless machines read the output."""
    if not quiet:
        say(line)


def _open(folder: Path, spec: Any) -> tuple[Any, "TrainingRows"]:
    from aio_tune.dataset import open_dataset
    from aio_tune.search.rows import training_rows

    dataset = open_dataset(folder)
    return dataset, training_rows(
        dataset, spec.task, spec.train_on, spec.folds, spec.seed, spec.resources.memory_budget
    )


def _confirm_folder(home: "Home", name: str, state: "SearchState") -> "RunFolder":
    from aio_tune.search.confirm import confirm_folder

    return confirm_folder(home, name, state.best.number if state.best else 0)


def _variant_folder(home: "Home", name: str, state: "SearchState", variant: str) -> "RunFolder":
    from aio_tune.search.variants import variant_folder

    return variant_folder(home, name, state.best.number if state.best else 0, variant)


def _baseline(rows: "TrainingRows", splits: "tuple[Folds, ...]", seed: int) -> dict[str, tuple[float, float]]:
    """Mean ± sd of the classical baseline: over splits, each its mean over folds; over the folds of a single split."""
    from aio_tune.evaluation import LogisticOnComponents, cross_validate
    from aio_tune.metrics import mean_sd as summarise

    expression = rows.expression()
    folds = [cross_validate(LogisticOnComponents, expression, rows.labels, split, rows.task.classes, seed=seed)
             for split in splits]  # fmt: skip
    if len(folds) == 1:
        return summarise(folds[0])
    return summarise([{metric: mean for metric, (mean, _) in summarise(one).items()} for one in folds])
