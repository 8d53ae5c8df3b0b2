"""Promotion: gates are checked, the decision is written down, then the alias moves; or moves back.

One at a time (``turns``), so that of two at once one is refused, and never two win. The audit trail is kept twice: as
tags of the registered model, and as files ``audit/`` of the trial's run that a version comes from.
"""

import getpass
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aio_tune.errors import GateError, RegistryError
from aio_tune.tracking.client import connect, store_errors
from aio_tune.tracking.pyfunc import ensemble_spec, input_columns
from aio_tune.tracking.registry import ALIASES, VersionSummary, choose_version, ensemble_folder, fetch_model, find_model
from aio_tune.tracking.turns import turn

AUDIT_TAG = "aio.audit."

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_GATE = re.compile(r"\s*(?P<metric>[^<>=\s]+)\s*(?P<sign>>=|<=|>|<)\s*(?P<bound>\S+)\s*")


@dataclass(frozen=True)
class Gate:
    """A bound that a metric must keep, e.g. ``auc>=0.80``.

    Attributes:
        metric: a metric of the version (``cv_auc_mean``, ``GSE81538:auc_low``), or a short name: ``auc`` means
            ``cv_auc_mean``, and ``auc_low``, the lower end of a 95 % interval, means ``oof_auc_low``.
        sign: ``>=``, ``<=``, ``>`` or ``<``.
        bound: the bound.
    """

    metric: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{self.bound:g}"


@dataclass(frozen=True)
class Check:
    """A gate that was looked at: the metric's full name and value, and whether the gate was passed."""

    gate: str
    metric: str
    value: float
    passed: bool


Inspect = Callable[[Path, Mapping[str, str]], list[Check]]
"""Looks at an ensemble folder, given its version's tags."""


@dataclass(frozen=True)
class Promotion:
    """One entry of the audit trail.

    Attributes:
        model: registered model.
        version: that the alias points at now; None if nobody had it before what was undone.
        alias: that was moved.
        previous: version that had the alias before, if any.
        who: user name.
        when: UTC, ISO 8601.
        why: the reason given, if any.
        checks: the gates, all passed.
        undoes: ``when`` of the promotion that this takes back; empty for a promotion.
    """

    model: str
    version: int | None
    alias: str
    previous: int | None
    who: str
    when: str
    why: str
    checks: tuple[Check, ...]
    undoes: str = ""


def parse_gate(text: str) -> Gate:
    """Read ``auc>=0.80``.

    Raises:
        GateError: it is not of that form.
    """
    match = _GATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError("no comparison")
        return Gate(match["metric"], match["sign"], float(match["bound"]))
    except ValueError as error:
        raise GateError(
            f"Expected a gate such as auc>=0.80. Received {text!r}.", f"Comparisons: {' '.join(_COMPARE)}."
        ) from error


def promote(
    uri: str,
    model: str,
    version: int | None = None,
    alias: str = "evaluation",
    *,
    gates: Sequence[str] = (),
    inspect: Inspect | None = None,
    why: str = "",
    who: str | None = None,
) -> Promotion:
    """Point an alias at a version, if it passes the gates, and write down who did it, when and why.

    Args:
        uri: the tracking store.
        model: registered model, e.g. ``aio-ki67-ensemble``.
        version: number; None is the newest.
        alias: ``candidate``, ``evaluation`` or ``champion``.
        gates: e.g. ``["auc>=0.80"]``; a metric that is not a number passes none.
        inspect: looks at the version's files; what it finds is a gate like the others.
        why: the reason, for the audit trail.
        who: user name; None is the one this process runs as.

    Raises:
        GateError: a gate is malformed, speaks of a metric that the version does not have, or is not passed.
        RegistryError: there is no such model, version or alias, the version is not ready, or somebody else promotes
            at this moment.
    """
    _check_alias(alias)
    parsed = [parse_gate(gate) for gate in gates]
    with store_errors(uri):
        client = connect(uri)
        summary = find_model(client, model)
        chosen = choose_version(summary, version)
        checks = check_gates(parsed, chosen.metrics, f"{model} version {chosen.version}")
        if inspect is not None:
            root = fetch_model(client, uri, model, chosen.version)
            checks.append(check_signature(root))
            checks += _inspected(inspect, ensemble_folder(root), chosen)
        user = who or getpass.getuser()
        with turn(client, model, user) as still_mine:
            promotion = Promotion(
                model=model,
                version=chosen.version,
                alias=alias,
                previous=find_model(client, model).aliases.get(alias),  # as it is now that nobody else can move it
                who=user,
                when=_now(),
                why=why,
                checks=tuple(checks),
            )
            _record(client, promotion, chosen.run_id)
            still_mine()
            client.set_registered_model_alias(model, alias, str(chosen.version))
            note = f"{promotion.when} by {promotion.who}"
            client.set_model_version_tag(model, str(chosen.version), f"promoted.{alias}", note)
    return promotion


def undo(uri: str, model: str, alias: str = "evaluation", *, why: str = "", who: str | None = None) -> Promotion:
    """Take the last promotion to an alias back: the version that had the alias before has it again, or nobody has.

    Done again it takes back the promotion before that one, as long as there is one.

    Args:
        uri: the tracking store.
        model: registered model.
        alias: whose last promotion is undone.
        why: the reason, for the audit trail.
        who: user name; None is the one this process runs as.

    Returns:
        The new entry of the audit trail.

    Raises:
        RegistryError: there is no such model or alias, nothing to undo, the alias was moved by something else since,
            the former version is gone, or somebody else promotes at this moment.
    """
    _check_alias(alias)
    with store_errors(uri):
        client = connect(uri)
        user = who or getpass.getuser()
        find_model(client, model)
        with turn(client, model, user) as still_mine:
            last = _last_standing(audit_trail(uri, model), model, alias)
            summary = find_model(client, model)
            holder = summary.aliases.get(alias)
            if holder != last.version:
                raise RegistryError(
                    f"Expected {model} @{alias} to point at version {last.version}, as by its audit trail. Received "
                    f"{'no version' if holder is None else f'version {holder}'}: it was moved by something else.",
                    f"Name the version yourself: aio-tune promote {model} --version N --to {alias}",
                )
            runs = {version.version: version.run_id for version in summary.versions}
            if last.previous is not None and last.previous not in runs:
                raise RegistryError(
                    f"Expected version {last.previous} of {model}, which had @{alias} before. Received none: it was "
                    "deleted."
                )
            entry = Promotion(model, last.previous, alias, last.version, user, _now(), why, (), undoes=last.when)
            _record(client, entry, runs.get(last.version or 0, ""))
            still_mine()
            if last.previous is None:
                client.delete_registered_model_alias(model, alias)
            else:
                client.set_registered_model_alias(model, alias, str(last.previous))
    return entry


def _last_standing(trail: Sequence[Promotion], model: str, alias: str) -> Promotion:
    """The last promotion to an alias that was not taken back."""
    undone = {entry.undoes for entry in trail if entry.undoes}
    standing = [e for e in trail if e.alias == alias and not e.undoes and e.when not in undone]
    if not standing:
        raise RegistryError(
            f"Expected a promotion of {model} to @{alias} to undo. Received none that was not undone already."
        )
    return standing[-1]


def _record(client: Any, promotion: Promotion, run_id: str) -> None:
    """Write an entry down, before the alias moves: it must never have moved without one.

    The tag's key has the time in it, so that entries sort by it.
    """
    entry = json.dumps(asdict(promotion))
    name = f"{promotion.when}.{promotion.alias}"
    client.set_registered_model_tag(promotion.model, f"{AUDIT_TAG}{name}", entry)
    if run_id:
        client.log_text(run_id, entry + "\n", f"audit/{promotion.model}.{name.replace(':', '')}.json")


def check_signature(root: Path) -> Check:
    """Whether a model folder's signature names exactly the columns that its ensemble takes, and an output.

    Raises:
        RegistryError: it is not a model folder of ours.
        GateError: the signature is missing or another one.
    """
    from mlflow.models import Model

    expected = input_columns(ensemble_spec(ensemble_folder(root)))
    signature = Model.load(str(root)).signature
    named = [] if signature is None or signature.inputs is None else signature.inputs.input_names()
    if named != expected or not signature.outputs:
        raise GateError(
            f"Expected a signature of the ensemble's {len(expected):,} columns. Received "
            f"{f'another one, of {len(named):,}' if named else 'none'}.",
            "The alias was not moved.",
        )
    return Check("signature of the ensemble's columns", "found", len(expected), True)


def _inspected(inspect: Inspect, folder: Path, version: VersionSummary) -> list[Check]:
    checks = inspect(folder, version.tags)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise GateError(
            f"Expected a whole model in version {version.version}. Received one that fails: "
            f"{'; '.join(check.gate for check in failed)}.",
            "The alias was not moved.",
        )
    return checks


def _check_alias(alias: str) -> None:
    if alias not in ALIASES:
        raise RegistryError(f"Expected an alias, one of {', '.join(ALIASES)}. Received {alias!r}.")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def audit_trail(uri: str, model: str) -> list[Promotion]:
    """Every promotion of a registered model, oldest first.

    Raises:
        RegistryError: there is no such model.
    """
    with store_errors(uri):
        client = connect(uri)
        find_model(client, model)
        tags: Mapping[str, str] = client.get_registered_model(model).tags
    entries = [json.loads(value) for key, value in sorted(tags.items()) if key.startswith(AUDIT_TAG)]
    return [Promotion(**{**entry, "checks": tuple(Check(**check) for check in entry["checks"])}) for entry in entries]


def check_gates(gates: Sequence[Gate], metrics: Mapping[str, float], whose: str) -> list[Check]:
    """Hold metrics against gates.

    Raises:
        GateError: names every gate that is not passed, with value and bound.
    """
    checks = []
    for gate in gates:
        name = next(
            (name for name in (gate.metric, f"cv_{gate.metric}_mean", f"oof_{gate.metric}") if name in metrics), None
        )
        if name is None:
            raise GateError(
                f"Expected a gate on a metric of {whose}. Received {gate.metric!r}.",
                f"It has: {', '.join(sorted(metrics)) or 'none'}.",
            )
        value = metrics[name]
        checks.append(Check(str(gate), name, value, _COMPARE[gate.sign](value, gate.bound)))
    failed = [check for check in checks if not check.passed]
    if failed:
        found = "; ".join(f"{check.metric} = {check.value:.4g}" for check in failed)
        raise GateError(
            f"Expected {whose} to pass {', '.join(check.gate for check in failed)}. Received {found}.",
            "The alias was not moved.",
        )
    return checks
