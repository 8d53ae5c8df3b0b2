"""Per gene and cohort: how many values there are, their mean, spread and limits; in pieces that can be put together.

Pieces are put together by Chan, Golub and LeVeque's formulas (Am Stat 37:242, 1983), in the order of the shards and
of the pieces within each, so that it does not matter to a single bit where a shard was read.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aio_tune.dataset.manifest import ShardEntry
from aio_tune.dataset.opened import AioDataset
from aio_tune.dataset.shards import expression_pieces

if TYPE_CHECKING:
    import pandas as pd

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GeneStatistics:
    """Of some samples; all arrays float64, shape (columns,): the genes of expression, then those of every further kind.

    Attributes:
        n: how many samples have a value; further kinds may lack some.
        mean: of these, in the kind's unit; 0 where there is none.
        squares: sum of the squared distances from the mean.
        low: least value; infinite where there is none.
        high: greatest value; likewise, below 0.
    """

    n: Doubles
    mean: Doubles
    squares: Doubles
    low: Doubles
    high: Doubles

    @classmethod
    def of(cls, values: npt.NDArray[np.floating]) -> "GeneStatistics":
        """Of rows, shape (rows, columns), NaN where not measured."""
        measured = ~np.isnan(values)
        n = measured.sum(axis=0).astype(np.float64)
        filled = np.where(measured, values, 0).astype(np.float64)
        mean = filled.sum(axis=0) / np.maximum(n, 1)
        squares = (np.where(measured, filled - mean, 0) ** 2).sum(axis=0)
        low = np.where(measured, values, np.inf).min(axis=0, initial=np.inf)
        high = np.where(measured, values, -np.inf).max(axis=0, initial=-np.inf)
        return cls(n, mean, squares, low.astype(np.float64), high.astype(np.float64))

    def __add__(self, other: "GeneStatistics") -> "GeneStatistics":
        """Of the samples of both."""
        n = self.n + other.n
        at_least_one = np.maximum(n, 1)
        off = other.mean - self.mean
        return GeneStatistics(
            n,
            self.mean + off * other.n / at_least_one,
            self.squares + other.squares + off**2 * self.n * other.n / at_least_one,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def sd(self) -> Doubles:
        """Standard deviation (ddof 0); NaN where there is no value."""
        return np.where(self.n > 0, np.sqrt(self.squares / np.maximum(self.n, 1)), np.nan)


Parts = Callable[[AioDataset, Sequence[ShardEntry]], Iterable[GeneStatistics]]
"""Gives the statistics of each shard, in the same order."""


def of_shard(dataset: AioDataset, shard: ShardEntry) -> GeneStatistics:
    """Of one shard, read piece by piece.

    Raises:
        DatasetError: it cannot be read.
    """
    pieces = expression_pieces(dataset.path, shard, len(dataset.genes), dataset.kinds)
    return reduce(GeneStatistics.__add__, (GeneStatistics.of(values) for _, values in pieces))


def here(dataset: AioDataset, shards: Sequence[ShardEntry]) -> Iterable[GeneStatistics]:
    """One shard after the other, in this process."""
    return (of_shard(dataset, shard) for shard in shards)


def statistics(
    dataset: AioDataset, cohorts: Sequence[str] | None = None, parts: Parts = here
) -> dict[str, GeneStatistics]:
    """Of every cohort, or of these.

    Args:
        dataset: where they are.
        cohorts: their names.
        parts: how the shards are read: ``here``, or ``aio_tune.dataset.distributed.on_ray``.

    Raises:
        DatasetError: a cohort is not in the dataset, or a shard cannot be read.
    """
    shards = dataset.shards(cohorts)
    found: dict[str, GeneStatistics] = {}
    for shard, part in zip(shards, parts(dataset, shards), strict=True):
        found[shard.cohort] = found[shard.cohort] + part if shard.cohort in found else part
    return found


def statistics_table(dataset: AioDataset, found: dict[str, GeneStatistics]) -> "pd.DataFrame":
    """One row per cohort, kind and gene: cohort, kind, symbol, chromosome, tss, n, mean, sd, min, max; NaN for none."""
    import pandas as pd

    genes = dataset.gene_table
    frames = []
    for cohort, figures in found.items():
        for i, kind in enumerate(dataset.kinds):
            mine = slice(i * len(genes), (i + 1) * len(genes))
            n, none = figures.n[mine], figures.n[mine] == 0
            columns = {"mean": figures.mean, "sd": figures.sd, "min": figures.low, "max": figures.high}
            frames.append(
                pd.DataFrame(
                    {
                        "cohort": cohort,
                        "kind": kind,
                        "symbol": genes.symbols,
                        "chromosome": genes.chroms,
                        "tss": genes.tss,
                        "n": n.astype(np.int64),
                        **{name: np.where(none, np.nan, values[mine]) for name, values in columns.items()},
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)
