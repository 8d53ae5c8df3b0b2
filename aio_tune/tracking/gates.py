"""Gates: bounds on a version's metrics, and what is found in its files, before an alias may point at it."""

import operator
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_tune.errors import GateError
from aio_tune.tracking.pyfunc import ensemble_spec, input_columns
from aio_tune.tracking.registry import VersionSummary, ensemble_folder, fetch_model

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_GATE = re.compile(r"\s*(?P<metric>[^<>=\s](?:[^<>=]*[^<>=\s])?)\s*(?P<sign>>=|<=|>|<)\s*(?P<bound>\S+)\s*")


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


def check_files(client: Any, uri: str, model: str, version: VersionSummary, inspect: Inspect) -> list[Check]:
    """What is found in a version's files; those of a server are fetched for as long as this takes.

    Raises:
        RegistryError: it is not a model folder of ours.
        GateError: the files fail.
    """
    with tempfile.TemporaryDirectory(prefix="aio-tune-models-") as cache:
        root = fetch_model(client, uri, model, version.version, Path(cache))
        return [check_signature(root), *_inspected(inspect, ensemble_folder(root), version)]


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
