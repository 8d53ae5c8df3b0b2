"""What MLflow is to be told about a search: ledger events in, writes out. Pure: no MLflow, no clock, no files.

One run per search and, below it, one run per trial. Names of the columns of a trial's run:

    cv_<metric>_mean, cv_<metric>_sd    over all folds; only for a trial that finished them all, so that sorting by
                                        it never puts a trial that was stopped early above one that was not
    fold_<k>_<metric>                   on fold k's validation rows, at each rung (step: epoch)
    fold_<k>_<curve>, mean_<curve>      per epoch (step: epoch), e.g. fold_0_train_loss, mean_valid_loss
    rung, rung_value, folds, epoch      how far it came (rungs count from 0), and the mean over the folds in play there
    seconds, parameters                 training time summed over folds; weights of one fold's network

A trial that shares the result of an earlier one of the same configuration has its ``cv_`` columns and the tag
``aio.same_as``, and neither folds nor curves of its own. On the search's run: ``confirm_<metric>_mean`` and ``_sd``
over the runs on new splits, ``nested_<metric>_mean`` and ``_sd`` over outer folds.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

Status = Literal["RUNNING", "FINISHED", "KILLED", "FAILED"]

# Tags by which a run is found again after a restart.
SEARCH_ID = "aio.search_id"
TRIAL = "aio.trial"
KIND = "aio.kind"

_STATUS: dict[str, Status] = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
# Facts of a search that every one of its trials repeats, because the runs table shows no parent.
_SHARED = ("aio.search", "aio.task", "aio.metric", "aio.seed", "aio.dataset", "aio.folds_digest", "aio.code_version")


class Point(NamedTuple):
    """One value of one metric. ``time`` is the event's own, ms since 1970: sent twice, it is stored once."""

    key: str
    value: float
    step: int
    time: int


@dataclass
class Write:
    """What one run is to be told.

    Attributes:
        trial: its number, or None for the search's own run.
        time: of the first event in it, ms since 1970.
        params: parameters, as text.
        tags: tags; a later value replaces an earlier one.
        points: metrics, in order.
        status: the run's new status, if it changes; a status other than RUNNING ends the run.
        ended: when it ended, ms since 1970.
        first: whether it holds the event that the run starts with.
    """

    trial: int | None
    time: int
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    status: Status | None = None
    ended: int | None = None
    first: bool = False


@dataclass
class Progress:
    """What must be remembered from earlier events; JSON-like, so that it can be kept beside the ledger.

    Attributes:
        search_id: hash of the search's name and start; unlike the name alone it never belongs to two searches.
        name: of the search.
        shared: tags that every trial's run repeats.
        dataset: path and fingerprint of the dataset.
        seconds: training time of each trial so far.
        ended: how many trials ended, by state.
        best_trial: the finished trial with the highest value so far.
        best_value: its value.
    """

    search_id: str = ""
    name: str = ""
    shared: dict[str, str] = field(default_factory=dict)
    dataset: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    best_trial: int | None = None
    best_value: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Progress":
        return cls(**facts)


def translate(events: Iterable[Mapping[str, Any]], progress: Progress) -> list[Write]:
    """Everything the events say, one ``Write`` per run, in the order in which the runs first appear.

    Args:
        events: in the ledger's order. Kinds that are not known here are passed over, so that an older mirror can
            follow a newer ledger.
        progress: what earlier events left; changed in place.
    """
    writes: dict[int | None, Write] = {}
    for event in events:
        handler = _HANDLERS.get(event["kind"])
        if handler is None:
            continue
        for write in handler(event, progress):
            known = writes.setdefault(write.trial, write)
            if known is not write:
                _merge(known, write)
    return list(writes.values())


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings -> ``outer.inner`` keys; numbers stay readable as numbers, lists become JSON."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _merge(known: Write, new: Write) -> None:
    known.params.update(new.params)
    known.tags.update(new.tags)
    known.points.extend(new.points)
    known.first = known.first or new.first
    if new.status is not None:
        known.status, known.ended = new.status, new.ended


def _search_started(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    settings = event.get("settings", {})
    dataset = event.get("dataset", {})
    progress.name = str(event["name"])
    progress.search_id = hashlib.sha256(f"{progress.name}@{event['time']!r}".encode()).hexdigest()[:32]
    progress.dataset = flatten(dataset)
    facts = {
        "aio.search": progress.name,
        "aio.task": settings.get("task"),
        "aio.metric": settings.get("metric"),
        "aio.seed": settings.get("seed"),
        "aio.dataset": dataset.get("fingerprint"),
        "aio.simulated": dataset.get("simulated"),
        "aio.folds_digest": event.get("folds_digest"),
        "aio.class_counts": event.get("class_counts"),
        "aio.code_version": event.get("code_version"),
        "mlflow.source.git.commit": event.get("git_commit"),
    }
    tags = flatten({key: value for key, value in facts.items() if value is not None and not isinstance(value, Mapping)})
    if isinstance(event.get("class_counts"), Mapping):
        tags["aio.class_counts"] = json.dumps(event["class_counts"])
    progress.shared = {key: tags[key] for key in _SHARED if key in tags}
    return [Write(None, _ms(event), params=flatten(settings), tags=tags, status="RUNNING", first=True)]


def _search_resumed(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    return [Write(None, _ms(event), tags={"aio.resumed": "true"}, status="RUNNING")]


def _trial_asked(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    tags = {**progress.shared, "aio.state": "RUNNING"}
    if event.get("same_as") is not None:
        tags["aio.same_as"] = str(event["same_as"])
    params = flatten(event["params"])
    return [Write(event["trial"], _ms(event), params=params, tags=tags, status="RUNNING", first=True)]


def _rung_reported(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    trial, epoch, time = event["trial"], event["epoch"], _ms(event)
    seconds = progress.seconds.get(str(trial), 0.0) + (event.get("seconds") or 0.0)
    progress.seconds[str(trial)] = seconds
    columns: dict[str, float | None] = {
        "rung": event["rung"],
        "rung_value": event["value"],
        "folds": len(event["folds"]),
        "epoch": epoch,
        "seconds": seconds,
        "parameters": event.get("parameters"),
    }
    for fold, metrics in event.get("fold_metrics", {}).items():
        columns.update({f"fold_{fold}_{name}": value for name, value in metrics.items()})
    points = [Point(key, float(value), epoch, time) for key, value in columns.items() if value is not None]
    return [Write(trial, time, points=points + _curve_points(event, time))]


def _curve_points(event: Mapping[str, Any], time: int) -> list[Point]:
    """Curves of each fold, and their mean over the folds in play.

    A fold that joins at a later rung starts at epoch 1 when the others are further on. Means are taken only for the
    epochs that all folds in play went through since the last rung, so that no epoch gets two different means.
    """
    points = []
    by_epoch: dict[str, dict[int, list[float]]] = {}
    started = event.get("from_epoch", {})
    curves = event.get("curves", {})
    for fold, fold_curves in curves.items():
        first = started.get(fold, 0) + 1
        for name, values in fold_curves.items():
            for step, value in enumerate(values, start=first):
                if value is not None:
                    points.append(Point(f"fold_{fold}_{name}", float(value), step, time))
                    by_epoch.setdefault(name, {}).setdefault(step, []).append(float(value))
    points += [
        Point(f"mean_{name}", sum(values) / len(values), step, time)
        for name, epochs in by_epoch.items()
        for step, values in sorted(epochs.items())
        if len(values) == len(curves)
    ]
    return points


def _trial_ended(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    trial, state, time = event["trial"], event["state"], _ms(event)
    progress.ended[state] = progress.ended.get(state, 0) + 1
    count = sum(progress.ended.values())
    tags = {"aio.state": state, "aio.reason": str(event.get("reason") or "")}
    write = Write(trial, time, tags=tags, status=_STATUS.get(state, "FINISHED"), ended=time)
    writes = [write]
    search = Write(None, time, points=[Point("trials_ended", float(count), count, time)])
    if state == "COMPLETE":
        for metric, (mean, sd) in (event.get("cv") or {}).items():
            summary = {f"cv_{metric}_mean": mean, f"cv_{metric}_sd": sd}
            write.points += [Point(key, float(value), 0, time) for key, value in summary.items() if value is not None]
        value = event.get("value")
        if value is not None and (progress.best_value is None or value > progress.best_value):
            progress.best_trial, progress.best_value = trial, value
            search.tags["aio.best_trial"] = str(trial)
        if progress.best_value is not None:
            search.points.append(Point("best_value", progress.best_value, count, time))
    search.points += [Point(f"trials_{key.lower()}", float(n), count, time) for key, n in progress.ended.items()]
    writes.append(search)
    return writes


def _search_ended(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    tags = {"aio.reason": str(event.get("reason") or "")}
    if event.get("best_trial") is not None:
        tags["aio.best_trial"] = str(event["best_trial"])
    return [Write(None, _ms(event), tags=tags, status="FINISHED", ended=_ms(event))]


def _model_registered(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    facts = {key: value for key, value in event.items() if key not in {"kind", "time"}}
    return [Write(None, _ms(event), tags={"aio.registered": json.dumps(facts)})]


def _confirmed(event: Mapping[str, Any], progress: Progress) -> list[Write]:
    """On the search's run: ``confirm_<metric>_mean`` over new splits, ``nested_<metric>_mean`` over outer folds."""
    prefix = {"runs": "confirm"}.get(event["protocol"], event["protocol"])
    named: dict[str, float | None] = {f"{prefix}_n": len(event["results"])}
    for metric, (mean, sd) in event["metrics"].items():
        named |= {f"{prefix}_{metric}_mean": mean, f"{prefix}_{metric}_sd": sd}
    time = _ms(event)
    points = [Point(key, float(value), 0, time) for key, value in named.items() if value is not None]
    tags = {} if event.get("trial") is None else {f"aio.{prefix}_trial": str(event["trial"])}
    return [Write(None, time, points=points, tags=tags)]


def _ms(event: Mapping[str, Any]) -> int:
    return round(event["time"] * 1000)


_HANDLERS = {
    "search_started": _search_started,
    "search_resumed": _search_resumed,
    "trial_asked": _trial_asked,
    "rung_reported": _rung_reported,
    "trial_ended": _trial_ended,
    "search_ended": _search_ended,
    "model_registered": _model_registered,
    "confirmed": _confirmed,
}
