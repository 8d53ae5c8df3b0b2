"""Promotion: gates are checked, the decision is written down, then the alias moves."""

import getpass
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from aio_tune.errors import GateError, RegistryError
from aio_tune.tracking.client import connect, store_errors
from aio_tune.tracking.registry import ALIASES, ModelSummary, VersionSummary, find_model

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
        metric: a metric of the version (``cv_auc_mean``, ``GSE81538:auc``), or a short name such as ``auc``, which
            means ``cv_auc_mean`` if there is no ``auc``.
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


@dataclass(frozen=True)
class Promotion:
    """One entry of the audit trail.

    Attributes:
        model: registered model.
        version: that the alias points at now.
        alias: that was moved.
        previous: version that had the alias before, if any.
        who: user name.
        when: UTC, ISO 8601.
        why: the reason given, if any.
        checks: the gates, all passed.
    """

    model: str
    version: int
    alias: str
    previous: int | None
    who: str
    when: str
    why: str
    checks: tuple[Check, ...]


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
        why: the reason, for the audit trail.
        who: user name; None is the one this process runs as.

    Raises:
        GateError: a gate is malformed, speaks of a metric that the version does not have, or is not passed.
        RegistryError: there is no such model, version or alias, or the version is not ready.
    """
    if alias not in ALIASES:
        raise RegistryError(f"Expected an alias, one of {', '.join(ALIASES)}. Received {alias!r}.")
    parsed = [parse_gate(gate) for gate in gates]
    with store_errors(uri):
        client = connect(uri)
        summary = find_model(client, model)
        chosen = _choose(summary, version)
        checks = check_gates(parsed, chosen.metrics, f"{model} version {chosen.version}")
        promotion = Promotion(
            model=model,
            version=chosen.version,
            alias=alias,
            previous=summary.aliases.get(alias),
            who=who or getpass.getuser(),
            when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            why=why,
            checks=tuple(checks),
        )
        entry = json.dumps(asdict(promotion))
        # The entry first: an alias must never have moved without one. Its key has the time in it, so that entries
        # sort by it and two promotions at once do not write over each other.
        client.set_registered_model_tag(model, f"{AUDIT_TAG}{promotion.when}.{alias}", entry)
        client.set_registered_model_alias(model, alias, str(chosen.version))
        note = f"{promotion.when} by {promotion.who}"
        client.set_model_version_tag(model, str(chosen.version), f"promoted.{alias}", note)
    return promotion


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
        name = next((name for name in (gate.metric, f"cv_{gate.metric}_mean") if name in metrics), None)
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


def _choose(summary: ModelSummary, version: int | None) -> VersionSummary:
    ready = [candidate for candidate in summary.versions if candidate.ready]
    for candidate in ready:  # newest first
        if version is None or candidate.version == version:
            return candidate
    raise RegistryError(
        f"Expected a version of {summary.name} that is ready. Received {version or 'none'}.",
        f"There are: {', '.join(str(candidate.version) for candidate in ready) or 'none'}.",
    )
