"""Checks and statistics of a dataset, here or on a Ray cluster: for `describe`."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from aio_tune.errors import DatasetError

if TYPE_CHECKING:
    from aio_tune.dataset import AioDataset

SUFFIXES = (".csv", ".parquet")


def check_and_sum_up(dataset: "AioDataset", out: Path | None, *, verify: bool, address: str) -> None:
    """Write the table of statistics, on a cluster if there is an address, which then checks the shards as well.

    Args:
        dataset: opened; checked already if there is no address.
        out: the table to write; its suffix says how.
        verify: whether the shards are to be checked on the cluster first.
        address: of a running Ray cluster; empty for this process alone.

    Raises:
        DatasetError: the suffix is another one, or a shard is damaged.
    """
    from aio_tune.dataset.distributed import on_ray, verify_on_ray
    from aio_tune.dataset.statistics import here, statistics, statistics_table

    if out and out.suffix not in SUFFIXES:
        raise DatasetError(f"Expected a file name that ends in {' or '.join(SUFFIXES)}. Received {out.name}.")
    with _cluster(address) if address else nullcontext():
        if verify and address:
            verify_on_ray(dataset)
        if out:
            table = statistics_table(dataset, statistics(dataset, parts=on_ray if address else here))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.name}.partial")
        try:
            if out.suffix == ".csv":
                table.to_csv(partial, index=False)
            else:
                table.to_parquet(partial, index=False)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)


def _cluster(address: str):  # type: ignore[no-untyped-def]
    from aio_tune.search.cluster import cluster

    return cluster(address)
