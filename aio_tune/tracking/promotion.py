"""Promotion: gates are checked, the decision is written down, then the alias moves; or moves back.

One at a time (``turns``), so that of two at once one is refused, and never two win. The audit trail is kept twice: as
tags of the registered model, and as files ``audit/`` of the trial's run that a version comes from.
"""

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from aio_tune.errors import RegistryError
from aio_tune.tracking.client import connect, store_errors
from aio_tune.tracking.gates import Check, Inspect, check_files, check_gates, parse_gate
from aio_tune.tracking.registry import ALIASES, choose_version, find_model
from aio_tune.tracking.turns import turn

AUDIT_TAG = "aio.audit."


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


def promote(
    uri: str,
    model: str,
    version: int | None = None,
    alias: str = "evaluation",
    *,
    gates: Sequence[str] = (),
    inspect: Inspect | None = None,
    passed: Sequence[Check] = (),
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
        passed: gates that a copied version passed where it came from (``check_promotion``), for the audit trail.
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
        chosen = choose_version(find_model(client, model), version)
        checks = [*passed, *check_gates(parsed, chosen.metrics, f"{model} version {chosen.version}")]
        if inspect is not None:
            checks += check_files(client, uri, model, chosen, inspect)
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


def check_promotion(
    uri: str, model: str, version: int | None, alias: str, *, gates: Sequence[str] = (), inspect: Inspect | None = None
) -> tuple[int, tuple[Check, ...]]:
    """Look at all that ``promote`` looks at, and move nothing: before a version is copied, to be promoted there.

    A copy has no evaluations, so gates on these can be looked at here alone.

    Args:
        uri: the tracking store that the version is in.
        model: registered model.
        version: number; None is the newest.
        alias: that it is to have.
        gates: as ``promote``.
        inspect: as ``promote``.

    Returns:
        The version's number, and its gates, all passed; without what was found in its files.

    Raises:
        GateError: as ``promote``.
        RegistryError: as ``promote``.
    """
    _check_alias(alias)
    parsed = [parse_gate(gate) for gate in gates]
    with store_errors(uri):
        client = connect(uri)
        chosen = choose_version(find_model(client, model), version)
        checks = check_gates(parsed, chosen.metrics, f"{model} version {chosen.version}")
        if inspect is not None:
            check_files(client, uri, model, chosen, inspect)
    return chosen.version, tuple(checks)


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
