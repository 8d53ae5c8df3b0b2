"""Simulated data know which genes carry the signal; real ones do not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aio_tune.errors import EvaluationError
from aio_tune.evaluation.attribution.stability import TOP, precision_at

if TYPE_CHECKING:
    import pandas as pd


def read_signal(path: Path) -> dict[str, frozenset[str]]:
    """Programme -> symbols of its genes, from the ``simulation.json`` of ``aio-tune simulate``.

    Raises:
        EvaluationError: it cannot be read, or names no signal genes.
    """
    try:
        programmes = json.loads(path.read_text(encoding="utf-8"))["signal_genes"]
        return {str(name): frozenset(map(str, genes)) for name, genes in programmes.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"Expected signal_genes of a simulation in {path}. Received: {type(error).__name__}: {error}.",
            "`aio-tune simulate` writes such a simulation.json.",
        ) from error


def precisions(table: "pd.DataFrame", programmes: Mapping[str, frozenset[str]]) -> dict[str, dict[str, float]]:
    """Share of the ``TOP`` genes that truly carry signal.

    Args:
        table: that of an ``Explanation``.
        programmes: see ``read_signal``.

    Returns:
        Programme, and ``any`` for all of them together -> ``network`` (by mean rank over the networks), ``fold`` (each
        network by itself, their mean), ``linear`` (NaN without linear weights) and ``chance`` (share of all genes),
        0..1.
    """
    genes = table["symbol"].astype(str).str.rpartition(":")[2]
    networks = [name for name in table.columns if name.startswith("rank_") and name != "rank_sd"]
    found = {}
    for programme, symbols in {**programmes, "any": frozenset().union(*programmes.values())}.items():
        relevant = genes.isin(symbols).to_numpy(dtype=bool)
        ranks = {name: table[name].to_numpy(dtype=np.float64) for name in ("mean_rank", "linear_rank", *networks)}
        linear = ranks["linear_rank"]
        found[programme] = {
            "network": precision_at(ranks["mean_rank"], relevant, TOP),
            "fold": float(np.mean([precision_at(ranks[name], relevant, TOP) for name in networks])),
            "linear": float("nan") if np.isnan(linear).any() else precision_at(linear, relevant, TOP),
            "chance": float(relevant.mean()),
        }
    return found
