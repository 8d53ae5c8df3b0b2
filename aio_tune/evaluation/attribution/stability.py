"""Ranks of genes within each fold's network, and how far the folds agree.

Networks of a few hundred patients find other genes on every split (Ein-Dor et al., Bioinformatics 21:171, 2005, for
signatures of breast cancer). A gene that a single fold ranks high is a finding of that fold.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOP = 50

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Agreement:
    """How several networks rank the same columns; each attribute but ``ranks`` of shape (n_columns,).

    Attributes:
        ranks: within each network, 1 is the largest, ties share their mean; shape (n_networks, n_columns).
        mean_rank: over the networks.
        rank_sd: standard deviation over the networks (ddof 1), NaN of one network.
        in_top: in how many networks it is among the ``TOP`` and not 0.
        stability: ``in_top`` as a share of the networks, 0..1.
    """

    ranks: Numbers
    mean_rank: Numbers
    rank_sd: Numbers
    in_top: npt.NDArray[np.int64]
    stability: Numbers


def agree(attributions: npt.NDArray[np.floating], top: int = TOP) -> Agreement:
    """Compare networks.

    Args:
        attributions: mean absolute attribution, shape (n_networks, n_columns).
        top: how many are the top.
    """
    ranks = np.stack([descending_ranks(one) for one in attributions])
    in_top = ((ranks <= top) & (attributions > 0)).sum(axis=0)
    n = len(ranks)
    sd = ranks.std(axis=0, ddof=1) if n > 1 else np.full(ranks.shape[1], np.nan)
    return Agreement(ranks, ranks.mean(axis=0), sd, in_top, in_top / n)


def descending_ranks(values: npt.NDArray[np.floating]) -> Numbers:
    """Ranks from 1 (largest), shape (n,); values that tie share the mean of their ranks."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-values), np.float64)


def precision_at(ranks: Numbers, relevant: npt.NDArray[np.bool_], top: int = TOP) -> float:
    """Share of the ``top`` lowest ranks (all, if there are fewer) that are relevant; ties by position.

    Args:
        ranks: shape (n,), 1 is the best.
        relevant: shape (n,).
        top: how many to look at.
    """
    return float(relevant[np.argsort(ranks, kind="stable")[:top]].mean())
