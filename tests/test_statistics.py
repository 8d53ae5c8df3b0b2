"""Statistics and checks of a dataset, in one process and on Ray, and rows streamed by fold."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.dataset import ROWS_PER_SHARD, AioDataset, open_dataset, write_dataset
from aio_tune.dataset.distributed import fold_dataset, on_ray, shards_by_node, verify_on_ray
from aio_tune.dataset.manifest import fingerprint
from aio_tune.dataset.statistics import GeneStatistics, statistics, statistics_table
from aio_tune.errors import DatasetError
from aio_tune.files import sha256_of
from tests.test_dataset import assembly, cohort

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> AioDataset:
    cohorts = (cohort("Long", ROWS_PER_SHARD + 70), cohort("B", 9, seed=1))
    return write_dataset(assembly(*cohorts), tmp_path_factory.mktemp("statistics") / "data")


@settings(max_examples=80)
@given(cuts=st.lists(st.integers(0, 30), max_size=6), seed=st.integers(0, 99), missing=st.floats(0, 0.5))
def test_pieces_put_together_are_the_whole(cuts: list[int], seed: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    values = (1e4 + random.normal(size=(30, 5))).astype(np.float32)
    values[random.random((30, 5)) < missing] = np.nan
    edges = [0, *sorted(cuts), 30]
    parts = [GeneStatistics.of(values[a:b]) for a, b in itertools.pairwise(edges)]
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    for j in range(5):
        column = values[:, j].astype(np.float64)
        column = column[~np.isnan(column)]
        assert found.n[j] == len(column)
        if len(column):
            expected = [column.mean(), column.std(), column.min(), column.max()]
            np.testing.assert_allclose([found.mean[j], found.sd[j], found.low[j], found.high[j]], expected, rtol=1e-9)
        else:
            assert np.isnan(found.sd[j])


def test_a_dataset_against_numpy(dataset: AioDataset) -> None:
    found = statistics(dataset)
    assert list(found) == ["Long", "B"]
    for name, figures in found.items():
        x = dataset.matrix((name,)).astype(np.float64)
        np.testing.assert_array_equal(figures.n, len(x))
        np.testing.assert_allclose(figures.mean, x.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(figures.sd, x.std(axis=0), rtol=1e-12)
        np.testing.assert_array_equal([figures.low, figures.high], [x.min(axis=0), x.max(axis=0)])
    assert list(statistics(dataset, ("B",))) == ["B"]


def test_further_kinds_have_rows_of_their_own() -> None:
    dataset = open_dataset(GOLDEN / "dataset_v2")
    table = statistics_table(dataset, statistics(dataset))
    assert set(table["kind"]) == set(dataset.kinds)
    assert len(table) == len(dataset.cohort_names) * len(dataset.kinds) * len(dataset.genes)
    assert table.loc[table["n"] == 0, ["mean", "sd", "min", "max"]].isna().all(axis=None)
    x = dataset.matrix()
    counted = table.groupby("kind", sort=False)["n"].sum()
    for i, kind in enumerate(dataset.kinds):
        part = x[:, i * len(dataset.genes) : (i + 1) * len(dataset.genes)]
        assert counted[kind] == (~np.isnan(part)).sum()


def test_shards_are_dealt_evenly_and_each_once(dataset: AioDataset) -> None:
    shards = dataset.shards()
    dealt = shards_by_node(shards, ["a", "b"])
    assert dealt == shards_by_node(shards, ["a", "b"])
    assert sorted(shard.path for part in dealt.values() for shard in part) == sorted(shard.path for shard in shards)
    rows = [sum(shard.rows for shard in part) for part in dealt.values()]
    assert rows == [ROWS_PER_SHARD, 79]
    assert shards_by_node(shards, ["only"]) == {"only": shards}


# Ray ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_nodes():
    """A cluster of two nodes on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    # None is any: of one that another Ray has, Ray 2.60 leaves a socket open.
    head = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "dashboard_port": None}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data sets options of its own that it deprecates
class TestOnRay:
    def test_statistics_are_the_same_to_the_last_bit(self, two_nodes: str, dataset: AioDataset) -> None:
        alone, together = statistics(dataset), statistics(dataset, parts=on_ray)
        assert list(alone) == list(together)
        for name in alone:
            for field in ("n", "mean", "squares", "low", "high"):
                one, other = getattr(alone[name], field), getattr(together[name], field)
                assert one.tobytes() == np.asarray(other).tobytes(), (name, field)

    def test_damage_is_found_and_named(self, two_nodes: str, tmp_path: Path) -> None:
        copy = write_dataset(assembly(cohort("Long", 30), cohort("B", 9, seed=1)), tmp_path / "copy")
        verify_on_ray(copy)
        shard = copy.path / copy.manifest.shards[1].path
        content = bytearray(shard.read_bytes())
        content[200] ^= 1
        shard.write_bytes(content)
        with pytest.raises(DatasetError, match="the shard is damaged"):
            verify_on_ray(copy)
        shard.unlink()
        with pytest.raises(DatasetError, match=shard.name):
            statistics(copy, parts=on_ray)

    def test_values_that_somebody_changed_with_all_checksums(self, two_nodes: str, tmp_path: Path) -> None:
        """A shard written again, and its entry in the manifest with it: only the profiles' own sha256 tells."""
        copy = write_dataset(assembly(cohort("Long", 30)), tmp_path / "copy")
        other = write_dataset(assembly(cohort("Long", 30, seed=5)), tmp_path / "other")
        import pyarrow.parquet as pq

        mine, theirs = (one.path / one.manifest.shards[0].path for one in (copy, other))
        table = pq.read_table(mine, partitioning=None)
        changed = table.set_column(
            table.schema.get_field_index("expression"),
            "expression",
            pq.read_table(theirs, partitioning=None).column("expression"),
        )
        pq.write_table(changed, mine)
        manifest = json.loads((copy.path / "manifest.json").read_text())
        manifest["shards"][0] |= {"bytes": mine.stat().st_size, "sha256": sha256_of(mine)}
        manifest["fingerprint"] = fingerprint(manifest)
        (copy.path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(DatasetError, match="Received others"):
            verify_on_ray(open_dataset(copy.path, verify=True))

    def test_a_folder_that_a_node_does_not_see(self, two_nodes: str, dataset: AioDataset, tmp_path: Path) -> None:
        import dataclasses

        away = dataclasses.replace(dataset, path=tmp_path / "away")
        with pytest.raises(DatasetError, match="on every node of the cluster"):
            statistics(away, parts=on_ray)

    def test_a_fold_is_streamed_each_row_once(self, two_nodes: str, dataset: AioDataset) -> None:
        rows = np.random.default_rng(0).permutation(ROWS_PER_SHARD + 79)[:300]
        matrix, seen = dataset.matrix(), []
        for batch in fold_dataset(dataset, rows).iter_batches(batch_size=32, batch_format="numpy"):
            assert np.array_equal(batch["expression"], matrix[batch["row"]])
            seen += batch["row"].tolist()
        assert sorted(seen) == sorted(rows.tolist())
        with pytest.raises(DatasetError, match="at least one row"):
            fold_dataset(dataset, np.array([], np.int64))

    def test_split_over_consumers_each_row_goes_to_one(self, two_nodes: str, dataset: AioDataset) -> None:
        import ray

        @ray.remote
        def consume(part) -> list[int]:
            return [int(row) for batch in part.iter_batches(batch_size=16) for row in batch["row"]]

        rows = np.arange(0, ROWS_PER_SHARD + 79, 2)
        parts = fold_dataset(dataset, rows).streaming_split(2)
        seen = ray.get([consume.options(num_cpus=0).remote(part) for part in parts])
        assert sorted(seen[0] + seen[1]) == rows.tolist()

    def test_the_command_on_a_cluster(self, two_nodes: str, dataset: AioDataset, tmp_path: Path) -> None:
        import subprocess
        import sys

        words = ("describe", dataset.path, "--verify", "--statistics", tmp_path / "s.csv", "--address", two_nodes)
        line = [sys.executable, "-m", "aio_tune.cli", *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / "s.csv", dtype={"chromosome": str}),
            statistics_table(dataset, statistics(dataset)),
            check_dtype=False,
        )
