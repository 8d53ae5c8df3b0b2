"""The description that a registered model's page shows, in Markdown."""

from collections.abc import Mapping


def model_card(
    name: str,
    *,
    what: str,
    origin: Mapping[str, object],
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    notes: str = "",
) -> str:
    """Say what a version is, where it comes from, how good it was, how to use it and what it is not.

    Args:
        name: of the registered model.
        what: one sentence.
        origin: search, trial, folds, dataset and the like.
        metrics: cross-validated; ``<x>_mean`` with ``<x>_sd`` becomes one row.
        params: the trial's parameters.
        notes: more Markdown, put before the limits.
    """
    parts = [
        what,
        "## Where it comes from",
        _table("", "", {key: value for key, value in origin.items() if value not in (None, "")}),
        "## Metrics on validation rows",
        _table("metric", "value", _with_sd(metrics)),
        "These numbers also chose the trial, so they are optimistic; cohorts that the search never saw decide.",
        "## How to use it",
        f"```\naio-tune promote {name} --to evaluation\naio-tune predict {name}@evaluation FILE --out calls.csv\n```",
        "Input: one row per sample, one column per gene symbol, log2(TPM+1), in any gene order. Missing genes take "
        "their training mean; past the share written in the model's `ensemble.json` the input is refused.",
        "## Parameters",
        _table("parameter", "value", params),
    ]
    if notes:
        parts.append(notes)
    parts += [
        "## Limits",
        "For research, not for clinical decisions. Expect worse results on other platforms, library preparations "
        "and tissue fixations than those it was trained on.",
    ]
    return "\n\n".join(parts)


def _with_sd(metrics: Mapping[str, float]) -> dict[str, str]:
    rows = {}
    for name, value in metrics.items():
        base = name.removesuffix("_mean")
        if name.endswith("_sd") and f"{name.removesuffix('_sd')}_mean" in metrics:
            continue
        sd = metrics.get(f"{base}_sd") if base != name else None
        rows[base if sd is not None else name] = f"{value:.3f}" if sd is None else f"{value:.3f} ± {sd:.3f}"
    return rows


def _table(left: str, right: str, rows: Mapping[str, object]) -> str:
    lines = [f"| {left} | {right} |", "|---|---|"]
    lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows.items()]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
