"""The description that a registered model's page shows, in Markdown."""

from collections.abc import Mapping


def model_card(
    name: str,
    *,
    what: str,
    origin: Mapping[str, object],
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    missing_genes: str = "",
    notes: str = "",
) -> str:
    """Say what a version is, where it comes from, how good it was, how to use it and what it is not.

    Args:
        name: of the registered model.
        what: one sentence.
        origin: search, trial, folds, dataset and the like.
        metrics: cross-validated; ``<x>_mean`` with ``<x>_sd`` becomes one row, and so does ``<x>`` with ``<x>_low``
            and ``<x>_high``.
        params: the trial's parameters.
        missing_genes: what stands in for them, and how many may be missing.
        notes: more Markdown, put before the limits.
    """
    parts = [
        what,
        "## Where it comes from",
        _table("", "", {key: value for key, value in origin.items() if value not in (None, "")}),
        "## Metrics on validation rows",
        _table("metric", "value", _rows_of(metrics)),
        "`cv_`: mean ± sd over folds. `oof_`: all validation rows together, each called by the network that had not "
        "seen it, with a 95 % interval by bootstrap over patients.",
        "These numbers also chose the trial, so they are optimistic; cohorts that the search never saw decide.",
        "## How to use it",
        f"```\naio-tune promote {name} --to evaluation\naio-tune predict {name}@evaluation FILE --out calls.csv\n```",
        "Input: one row per sample, one column per gene symbol, log2(TPM+1), in any gene order, from one sample up. "
        f"In place of missing genes: {missing_genes or 'see ensemble.json'}; with more missing the input is refused.",
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


def _rows_of(metrics: Mapping[str, float]) -> dict[str, str]:
    rows = {}
    for name, value in metrics.items():
        base, _, part = name.rpartition("_")
        sd, low, high = (metrics.get(key) for key in (f"{base}_sd", f"{name}_low", f"{name}_high"))
        if part == "mean" and sd is not None:
            rows[base] = f"{value:.3f} ± {sd:.3f}"
        elif low is not None and high is not None:
            rows[name] = f"{value:.3f} [{low:.3f}, {high:.3f}]"
        elif not ((part == "sd" and f"{base}_mean" in metrics) or (part in ("low", "high") and base in metrics)):
            rows[name] = f"{value:.3f}"
    return rows


def _table(left: str, right: str, rows: Mapping[str, object]) -> str:
    lines = [f"| {left} | {right} |", "|---|---|"]
    lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows.items()]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
