"""A dataset's shards on a Ray cluster: checked and summed up where they are read, and streamed fold by fold.

All of it wants a connected Ray, and every node to see the dataset's folder under the same path.

Searches do not train from here. A fold needs the rows of K - 1 parts in random order, the same at every try; Ray Data
promises no order, ``streaming_split`` gives each row to one consumer only, and its batches came at 5,000 to 24,000
profiles per second where ``StoredRows`` gave 110,000 from a node's disk (benchmarks/search_memory.py). What is here is
for checks, for statistics, and for training loops of one's own.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.dataset.manifest import ShardEntry
from aio_tune.dataset.opened import AioDataset
from aio_tune.dataset.shards import expression_pieces, kind_column, read_samples, verify_shard
from aio_tune.dataset.statistics import Doubles, GeneStatistics, of_shard
from aio_tune.errors import DatasetError
from aio_tune.expression import profile_hashes
from aio_tune.kinds import EXPRESSION


def on_ray(dataset: AioDataset, shards: Sequence[ShardEntry]) -> Iterable[GeneStatistics]:
    """Statistics of each shard, in the same order, each found on the node that Ray Data gives it to.

    For ``aio_tune.dataset.statistics.statistics``; to the last bit what one process finds.

    Raises:
        DatasetError: a shard cannot be read on its node.
    """
    return (GeneStatistics(*found.reshape(5, -1)) for found in _on_nodes(dataset, shards, _sum_up))


def verify_on_ray(dataset: AioDataset) -> None:
    """Check every shard on the node that Ray Data gives it to: its sha256, its values, and each profile's own sha256.

    Raises:
        DatasetError: a shard is not as it was written, or a node does not see the folder.
    """
    for _ in _on_nodes(dataset, dataset.manifest.shards, _check):
        pass


def shards_by_node(shards: Sequence[ShardEntry], nodes: Sequence[str]) -> dict[str, list[ShardEntry]]:
    """Deal shards to nodes so that all have about as many rows; the same for the same shards and nodes.

    Args:
        shards: of a dataset.
        nodes: ids; at least one.

    Returns:
        For every node its shards, in their order.
    """
    rows = dict.fromkeys(nodes, 0)
    node_of: dict[str, str] = {}
    for shard in sorted(shards, key=lambda shard: (-shard.rows, shard.path)):  # the largest first: the rest evens out
        node = min(nodes, key=lambda node: rows[node])
        node_of[shard.path] = node
        rows[node] += shard.rows
    return {node: [shard for shard in shards if node_of[shard.path] == node] for node in nodes}


def fold_dataset(dataset: AioDataset, rows: npt.NDArray[np.integer]) -> Any:
    """A ``ray.data.Dataset`` of some rows, such as a fold's training rows; other shards are not read.

    Its columns are ``row`` (counted over all cohorts in the order of the manifest, as in ``samples``), ``expression``,
    shape (n_genes,), and ``omics_<kind>`` for every further kind. Each row comes once, in no promised order; by
    ``streaming_split`` each goes to one of several consumers.

    Args:
        dataset: where they are.
        rows: indices, in any order, each once.

    Raises:
        DatasetError: there is none.
    """
    import ray.data

    wanted = np.sort(np.asarray(rows, np.int64))
    items: list[dict[str, Any]] = []
    first = 0
    for number, shard in enumerate(dataset.shards()):
        mine = wanted[(wanted >= first) & (wanted < first + shard.rows)]
        if len(mine):
            items.append({"shard": number, "first": first, "rows": mine.tolist()})
        first += shard.rows
    if not items:
        raise DatasetError("Expected at least one row to stream. Received none.")

    def read(batch: dict[str, npt.NDArray[Any]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
        shard = dataset.shards()[int(batch["shard"][0])]
        chosen, begin = np.asarray(batch["rows"][0], np.int64), int(batch["first"][0])
        width = len(dataset.genes)
        for start, values in expression_pieces(dataset.path, shard, width, dataset.kinds):
            here = chosen[(chosen >= begin + start) & (chosen < begin + start + len(values))]
            if len(here):
                part = values[here - begin - start]
                columns = {kind_column(k): part[:, i * width : (i + 1) * width] for i, k in enumerate(dataset.kinds)}
                yield {"row": here, **columns}

    _quieten()
    return ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        read, batch_size=1, batch_format="numpy"
    )


def _on_nodes(
    dataset: AioDataset, shards: Sequence[ShardEntry], work: Callable[[AioDataset, ShardEntry], Doubles]
) -> Iterator[Doubles]:
    """What ``work`` makes of each shard, flat, in the order of the shards.

    Raises:
        DatasetError: that of the first shard with a fault.
    """
    import ray.data

    def run(row: dict[str, Any]) -> dict[str, Any]:
        number = row["number"]
        try:
            return {"number": number, "found": work(dataset, shards[number]).tobytes(), "problem": "", "hint": ""}
        except DatasetError as error:
            return {"number": number, "found": b"", "problem": error.problem, "hint": error.hint}

    _quieten()
    numbers = [{"number": number} for number in range(len(shards))]
    data = ray.data.from_items(numbers, override_num_blocks=max(1, len(shards))).map(run)
    # By number and not as they come: the order decides the last bits of a sum, and whose fault is told.
    done = {int(row["number"]): row for row in data.iter_rows()}
    for number in range(len(shards)):
        if done[number]["problem"]:
            raise DatasetError(done[number]["problem"], done[number]["hint"])
        yield np.frombuffer(done[number]["found"])


def _quieten() -> None:
    """Ray Data would write a page for every pass over the data."""
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def _sum_up(dataset: AioDataset, shard: ShardEntry) -> Doubles:
    _refuse_other_folder(dataset.path)
    found = of_shard(dataset, shard)
    return np.stack([found.n, found.mean, found.squares, found.low, found.high])


def _check(dataset: AioDataset, shard: ShardEntry) -> Doubles:
    _refuse_other_folder(dataset.path)
    verify_shard(dataset.path, shard)
    expected = read_samples(dataset.path, shard, tuple(dataset.manifest.tasks))["profile_sha256"].tolist()
    for start, values in expression_pieces(dataset.path, shard, len(dataset.genes), (EXPRESSION,)):
        if not np.isfinite(values).all() or profile_hashes(values) != expected[start : start + len(values)]:
            raise DatasetError(
                f"Expected the profiles that were written in {dataset.path / shard.path}. Received others.",
                "Prepare the dataset again.",
            )
    return np.empty(0)


def _refuse_other_folder(path: Path) -> None:
    if not path.is_dir():
        import ray

        node = ray.util.get_node_ip_address()
        raise DatasetError(
            f"Expected the dataset's folder {path} on every node of the cluster. Received none on {node}.",
            "Keep it on a file system that all nodes share, under the same path.",
        )
