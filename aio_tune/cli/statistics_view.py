"""Checks and statistics of a dataset, here or on a Ray cluster: for `describe`."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from aio_tune.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.dataset import AioDataset
    from aio_tune.dataset.statistics import GeneStatistics

SUFFIXES = (".csv", ".parquet")


def check_name(out: Path) -> None:
    """Refuse a file name that does not say how the table is to be written.

    Raises:
        DatasetError: it ends in neither of ``SUFFIXES``.
    """
    if out.suffix not in SUFFIXES:
        raise DatasetError(f"Expected a file name that ends in {' or '.join(SUFFIXES)}. Received {out.name}.")


def check_and_sum_up(
    dataset: "AioDataset", out: Path | None, *, verify: bool, address: str
) -> "dict[str, GeneStatistics]":
    """Statistics of every cohort; on a cluster if there is an address, where the shards may be checked as well.

    Args:
        dataset: opened; checked already if there is no address.
        out: the table to write; none if it is None.
        verify: whether the shards are to be checked on the cluster first.
        address: of a running Ray cluster; empty for this process alone.

    Raises:
        DatasetError: a shard is damaged.
        SearchError: there is no cluster at that address.
    """
    from aio_tune.dataset.distributed import on_ray, verify_on_ray
    from aio_tune.dataset.statistics import here, statistics, statistics_table
    from aio_tune.search.cluster import cluster

    with cluster(address) if address else nullcontext():
        if verify and address:
            verify_on_ray(dataset)
        found = statistics(dataset, parts=on_ray if address else here)
    if out:
        _write(statistics_table(dataset, found), out)
    return found


def _write(table: "pd.DataFrame", out: Path) -> None:
    """The table, whole or not at all."""
    from aio_tune.dataset.replacing import new_file

    with new_file(out) as partial:
        if out.suffix == ".csv":
            table.to_csv(partial, index=False)
        else:
            table.to_parquet(partial, index=False)
