import dataclasses
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from aio_tune.cohorts import Assembly, Cohort, GeneTable, Unit
from aio_tune.dataset import (
    ROWS_PER_SHARD,
    check_target,
    open_dataset,
    profile_hashes,
    write_dataset,
)
from aio_tune.dataset.manifest import fingerprint
from aio_tune.dataset.replacing import new_file
from aio_tune.errors import DatasetError
from aio_tune.tasks import TASKS

GOLDEN = Path(__file__).parent / "golden" / "dataset_v1"
GENES = tuple(f"GENE{i}" for i in range(7))


def cohort(name, n, seed=0, **changes):
    rng = np.random.default_rng(seed)

    def clinical(count):
        ids = [f"{name[0]}{i}" for i in range(count)]
        table = {"patient_id": pd.Series([f"{name}:{i}" for i in ids], dtype="str")}
        for task in TASKS.values():
            labels = rng.choice([*task.classes, None], count) if task.name in ("ki67", "nhg") else [None] * count
            table[task.name] = pd.Series(list(labels), dtype="str")
        table["survival_days"] = pd.Series(np.where(rng.random(count) < 0.3, np.nan, rng.integers(1, 999, count)))
        table["survival_event"] = table["survival_days"].where(table["survival_days"].isna(), 1.0)
        table["platform"] = pd.Series(["NextSeq 500"] * count, dtype="str")
        return pd.DataFrame(table).set_axis(pd.Index(ids, dtype="str", name="sample_id"))

    values = {
        "name": name,
        "expression": rng.gamma(1, 2, (n, len(GENES))).astype(np.float32),
        "genes": GENES,
        "unit": Unit.LOG2_TPM_1,
        "clinical": clinical(n),
        "subjects": clinical(n + 3),
        "sources": {f"{name}.csv.gz": f"{seed:064x}"},
        "notes": ("3 titles have no profile.",),
    }
    return Cohort(**(values | changes))


def gene_table(genes=GENES):
    return GeneTable(genes, ("1",) * len(genes), np.arange(len(genes)) * 1000, "positions.tsv", "f" * 64)


def assembly(*cohorts):
    return Assembly(list(cohorts), gene_table(), {"not in every cohort": 2})


@pytest.fixture
def made(tmp_path):
    return write_dataset(assembly(cohort("First one", 5), cohort("B", 4, seed=1, simulated=True)), tmp_path / "data")


def test_what_was_written_is_read_back(tmp_path):
    first, second = cohort("First one", 5), cohort("B", 4, seed=1, simulated=True)
    write_dataset(assembly(first, second), tmp_path / "data", n_genes=7)
    dataset = open_dataset(tmp_path / "data", verify=True)

    assert dataset.cohort_names == ("First one", "B")
    assert dataset.genes == GENES
    assert dataset.unit == "log2(TPM+1)"
    assert dataset.gene_table.symbols == GENES
    assert dataset.gene_table.chroms == ("1",) * 7
    assert np.array_equal(dataset.gene_table.tss, np.arange(7) * 1000)
    assert dataset.gene_table.source_sha256 == "f" * 64
    assert dataset.manifest.dropped == {"not in every cohort": 2}
    assert dataset.manifest.requested_genes == 7
    assert dataset.notes == ("First one: 3 titles have no profile.", "B: 3 titles have no profile.")

    matrix = dataset.matrix()
    assert matrix.dtype == np.float32 and matrix.flags.c_contiguous
    assert np.array_equal(matrix, np.concatenate([first.expression, second.expression]))
    samples = dataset.samples()
    assert isinstance(samples.index, pd.RangeIndex)
    assert samples["cohort"].tolist() == ["First one"] * 5 + ["B"] * 4
    clinical = pd.concat([first.clinical, second.clinical])
    assert samples["sample_id"].tolist() == clinical.index.tolist()
    pd.testing.assert_frame_equal(samples[list(clinical.columns)], clinical.reset_index(drop=True))
    assert samples["profile_sha256"].tolist() == profile_hashes(matrix)


def test_cohorts_can_be_read_alone_and_keep_their_order(made):
    assert np.array_equal(made.matrix(["B"]), made.matrix()[5:])
    assert made.samples(["B"])["cohort"].unique().tolist() == ["B"]
    assert np.array_equal(made.matrix(["B", "First one"]), made.matrix())
    assert made.matrix([]).shape == (0, 7)
    assert list(made.samples([]).columns) == list(made.samples().columns)
    for read in (made.matrix, made.samples, made.simulated, made.ray_dataset):
        with pytest.raises(DatasetError, match=r"Expected cohorts of the dataset, First one, B\. Received C\."):
            read(["B", "C"])


def test_simulated_if_any_of_the_cohorts_is(made):
    assert made.simulated() and made.simulated(["B"]) and not made.simulated(["First one"])


def test_table_one_counts_subjects_and_profiles(made):
    subjects, profiled = (made.manifest.cohorts[0].table_one.subjects, made.manifest.cohorts[0].table_one.profiled)
    samples = made.samples(["First one"])
    for task in TASKS.values():
        assert sum(subjects[task.name].values()) == 8 == made.manifest.cohorts[0].subjects
        assert profiled[task.name]["missing"] == samples[task.name].isna().sum()
        assert list(profiled[task.name]) == [*task.classes, "missing"]


def test_long_cohorts_are_split_into_shards(tmp_path):
    long = cohort("Long", 2 * ROWS_PER_SHARD + 1)
    dataset = write_dataset(assembly(long, cohort("B", 1)), tmp_path / "data")
    shards = dataset.manifest.shards
    assert [(shard.path, shard.rows) for shard in shards] == [
        ("shards/Long-00000.parquet", ROWS_PER_SHARD),
        ("shards/Long-00001.parquet", ROWS_PER_SHARD),
        ("shards/Long-00002.parquet", 1),
        ("shards/B-00000.parquet", 1),
    ]
    assert np.array_equal(dataset.matrix(["Long"]), long.expression)
    assert dataset.samples(["Long"])["sample_id"].tolist() == long.clinical.index.tolist()


def test_same_assembly_gives_the_same_fingerprint_and_another_does_not(made, tmp_path):
    same = write_dataset(
        assembly(cohort("First one", 5), cohort("B", 4, seed=1, simulated=True)), tmp_path / "elsewhere" / "again"
    )
    assert same.fingerprint == made.fingerprint
    changed = cohort("First one", 5)
    changed.expression[2, 3] += 1e-3
    other = write_dataset(assembly(changed, cohort("B", 4, seed=1, simulated=True)), tmp_path / "other")
    assert other.fingerprint != made.fingerprint


def test_profile_hashes_see_values_only():
    x = np.array([[0.0, 1.5], [-0.0, 1.5], [1.5, 0.0]], np.float32)
    first, negative_zero, swapped = profile_hashes(x)
    assert first == negative_zero != swapped
    assert profile_hashes(np.asfortranarray(x)) == profile_hashes(x)


# Damage ---------------------------------------------------------------------------------------------------------------


def one_line(error):
    assert "\n" not in str(error)
    assert "Received" in error.problem


def edit_manifest(path, change, resign=False):
    content = json.loads((path / "manifest.json").read_text())
    change(content)
    if resign:
        content["fingerprint"] = fingerprint(content)
    (path / "manifest.json").write_text(json.dumps(content))


def test_any_flipped_byte_of_a_shard_is_noticed_by_verify_and_never_read_wrongly(made):
    path = made.path / made.manifest.shards[0].path
    whole, truth = path.read_bytes(), made.matrix()
    noticed_on_reading = 0
    for position in range(0, len(whole), 37):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        with pytest.raises(DatasetError) as caught:
            open_dataset(made.path, verify=True)
        one_line(caught.value)
        assert path.name in caught.value.problem
        try:
            assert np.array_equal(made.matrix(), truth)
        except DatasetError as error:
            one_line(error)
            noticed_on_reading += 1
    assert noticed_on_reading > 0


def test_a_truncated_shard_is_named_on_opening(made):
    path = made.path / made.manifest.shards[1].path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=rf"bytes in .*{path.name}. Received") as caught:
        open_dataset(made.path)
    one_line(caught.value)
    assert made.matrix(["First one"]).shape == (5, 7)
    with pytest.raises(DatasetError, match=path.name):
        made.matrix(["B"])


def test_a_missing_shard_is_named(made):
    (made.path / made.manifest.shards[1].path).unlink()
    with pytest.raises(DatasetError, match=r"B-00000\.parquet\. Received nothing: it is missing") as caught:
        open_dataset(made.path)
    one_line(caught.value)


def replace_shard(dataset, table, number=0):
    """Put another table in a shard's place and make the manifest agree with the file, though not with the table."""
    entry = dataset.manifest.shards[number]
    path = dataset.path / entry.path
    pq.write_table(table, path)
    edit_manifest(
        dataset.path, lambda content: content["shards"][number].update(bytes=path.stat().st_size), resign=True
    )


def test_a_wrong_row_count_is_named(made):
    table = pq.read_table(made.path / made.manifest.shards[0].path)
    replace_shard(made, table.slice(0, 4))
    with pytest.raises(DatasetError, match=r"Expected 5 rows in .*one-00000\.parquet\. Received 4") as caught:
        open_dataset(made.path)
    one_line(caught.value)
    with pytest.raises(DatasetError, match="Expected 5 rows"):
        made.matrix()


def test_wrong_columns_and_a_wrong_gene_count_are_named(made, tmp_path):
    table = pq.read_table(made.path / made.manifest.shards[0].path)
    replace_shard(made, table.drop_columns(["patient_id"]))
    with pytest.raises(DatasetError, match=r"Expected columns \['cohort', 'sample_id', 'patient_id'"):
        open_dataset(made.path)
    fewer = cohort("First one", 5)
    fewer = dataclasses.replace(fewer.select_genes(GENES[:5]))
    other = write_dataset(Assembly([fewer], gene_table(GENES[:5]), {}), tmp_path / "fewer")
    replace_shard(made, pq.read_table(other.path / other.manifest.shards[0].path))
    with pytest.raises(DatasetError, match="Expected 7 float32 values per sample"):
        open_dataset(made.path)


def test_a_missing_folder_or_manifest_is_named(made, tmp_path):
    with pytest.raises(DatasetError, match="there is no such folder") as caught:
        open_dataset(tmp_path / "nowhere")
    assert caught.value.hint == "Make one with `aio-tune prepare`."
    (made.path / "manifest.json").unlink()
    with pytest.raises(DatasetError, match=r"a folder without manifest\.json"):
        open_dataset(made.path)


@pytest.mark.parametrize(
    ("version", "hint"), [(3, "later release"), (0, "Prepare"), (True, "Prepare"), ("1", "Prepare"), (None, "Prepare")]
)
def test_an_unknown_format_version_is_named_before_anything_else_is_looked_at(made, version, hint):
    edit_manifest(made.path, lambda content: content.update(format_version=version, genes="elsewhere"))
    with pytest.raises(
        DatasetError, match=rf"Expected format version 2 or before in .*\. Received {version!r}"
    ) as caught:
        open_dataset(made.path)
    one_line(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["genes"]["symbols"].reverse(),
        lambda content: content["cohorts"][1].update(simulated=False),
        lambda content: content.update(anything="new"),
        lambda content: content.pop("fingerprint"),
        lambda content: content.pop("tasks"),
    ],
)
def test_an_edited_manifest_is_refused(made, change):
    edit_manifest(made.path, change)
    with pytest.raises(DatasetError, match="it was edited or damaged") as caught:
        open_dataset(made.path)
    one_line(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("unit"),
        lambda content: content.update(unit="TPM"),
        lambda content: content["genes"]["tss"].pop(),
        lambda content: content["genes"]["symbols"].__setitem__(0, "GENE1"),
        lambda content: content["shards"].pop(),
        lambda content: content["shards"][0].update(cohort="C"),
        lambda content: content["shards"][0].update(path="shards/../../outside.parquet"),
        lambda content: content["shards"][0].update(rows="5"),
        lambda content: content["shards"][0].update(sha256="x"),
        lambda content: content.update(cohorts=[]),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_even_with_a_right_fingerprint(made, change):
    edit_manifest(made.path, change, resign=True)
    with pytest.raises(DatasetError, match="complete manifest") as caught:
        open_dataset(made.path)
    one_line(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "other"}', '"\udcff"'])
def test_a_manifest_that_is_none_is_refused(made, text):
    (made.path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError, match="Received") as caught:
        open_dataset(made.path)
    one_line(caught.value)


def test_fields_of_a_later_release_are_passed_over(made):
    edit_manifest(made.path, lambda content: content.update(colour="green"), resign=True)
    assert open_dataset(made.path, verify=True).genes == GENES


# Writing --------------------------------------------------------------------------------------------------------------


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("there_before", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("stage", ["write_shard", "to_json", "sync"])
def test_interrupted_writing_leaves_everything_as_it_was(tmp_path, monkeypatch, there_before, error, stage):
    out = tmp_path / "data"
    if there_before:
        write_dataset(assembly(cohort("Old", 2)), out)
    before = tree(tmp_path)

    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(f"aio_tune.dataset.writing.{stage}", fail)
        with pytest.raises(DatasetError if isinstance(error, OSError) else KeyboardInterrupt):
            write_dataset(assembly(cohort("New", 3)), out, overwrite=True)
    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["data"] if there_before else [])
    assert write_dataset(assembly(cohort("New", 3)), out, overwrite=True).cohort_names == ("New",)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_failed_swap_puts_the_old_dataset_back(tmp_path, monkeypatch):
    out = tmp_path / "data"
    write_dataset(assembly(cohort("Old", 2)), out)
    before, rename = tree(tmp_path), Path.rename

    def fail(self, target):
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(DatasetError, match="Input/output error"):
        write_dataset(assembly(cohort("New", 3)), out, overwrite=True)
    assert tree(tmp_path) == before


def _die_at(write, path):
    """Have another process write there, which ends in the middle of it."""
    process = multiprocessing.get_context("spawn").Process(target=write, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == 9


def _write_and_die(out):
    from aio_tune.dataset import writing

    writing.to_json = lambda _: os._exit(9)
    write_dataset(assembly(cohort("Dead", 3)), out)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    out = tmp_path / "data [1]"
    _die_at(_write_and_die, out)
    left = list(tmp_path.iterdir())
    assert len(left) == 1 and left[0].name.endswith(".partial")
    others = [tmp_path / name for name in (".other.01234567.partial", ".data [1].v2.01234567.partial")]
    for other in others:
        other.mkdir()
    write_dataset(assembly(cohort("New", 3)), out)
    assert sorted(tmp_path.iterdir()) == sorted([out, *others])


def test_what_a_killed_swap_left_is_removed_and_another_names_is_not(made, tmp_path):
    mine, other = tmp_path / ".data.01234567.old", tmp_path / ".data.v2.01234567.old"
    for folder in (mine, other):
        (folder / "shards").mkdir(parents=True)
    write_dataset(assembly(cohort("New", 3)), made.path, overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted([made.path, other])


def test_what_a_killed_export_left_stops_no_dataset(tmp_path):
    names = (".data.h5ad.01234567.partial", ".data.01234567.partial", ".data.01234567.old")
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_text("half")
    out = write_dataset(assembly(cohort("New", 3)), tmp_path / "data").path
    write_dataset(assembly(cohort("Newer", 3)), out, overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted([out, *files])


def _write_half_and_die(path):
    with new_file(path) as partial:
        partial.write_text("half")
        os._exit(9)


def test_a_file_that_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "data.h5ad"
    _die_at(_write_half_and_die, path)
    assert [left.suffix for left in tmp_path.iterdir()] == [".partial"]
    others = [tmp_path / name for name in (".data.01234567.partial", ".data.h5ad.0123.partial")]
    for other in others:
        other.write_text("mine")
    folder = tmp_path / ".data.h5ad.01234567.partial"
    folder.mkdir()
    with new_file(path) as alive:
        alive.write_text("first")
        with new_file(path) as partial:
            partial.write_text("second")
        assert alive.read_text() == "first", "its writer holds it"
    assert path.read_text() == "first"
    assert sorted(tmp_path.iterdir()) == sorted([path, folder, *others])


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_text("")
    with new_file(tmp_path / "new") as partial:
        partial.write_text("")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_dataset_is_replaced_only_when_asked(made):
    new = assembly(cohort("New", 3))
    with pytest.raises(DatasetError, match="AIO dataset that is there already"):
        write_dataset(new, made.path)
    assert open_dataset(made.path).fingerprint == made.fingerprint
    assert write_dataset(new, made.path, overwrite=True).cohort_names == ("New",)
    (made.path / "manifest.json").write_text("damaged")
    assert write_dataset(new, made.path, overwrite=True).cohort_names == ("New",)


@pytest.mark.parametrize("strange", ["notes.txt", "shards/notes.txt", "more/data.parquet"])
def test_what_is_not_a_dataset_is_never_replaced(made, strange):
    (made.path / strange).parent.mkdir(exist_ok=True)
    (made.path / strange).write_text("mine")
    before = tree(made.path)
    for overwrite in (False, True):
        with pytest.raises(DatasetError, match=strange.removesuffix("/data.parquet")) as caught:
            write_dataset(assembly(cohort("New", 3)), made.path, overwrite=overwrite)
        one_line(caught.value)
    assert tree(made.path) == before


def test_a_file_is_refused_and_an_empty_folder_is_used(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match="no folder but a file"):
        check_target(tmp_path / "file", overwrite=True)
    (tmp_path / "empty").mkdir()
    assert write_dataset(assembly(cohort("New", 3)), tmp_path / "empty").cohort_names == ("New",)


def test_new_folders_have_the_usual_permissions(made, tmp_path):
    (tmp_path / "usual").mkdir()
    assert made.path.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("cohorts", "message"),
    [
        ([], "at least one cohort"),
        ([cohort("A", 2, unit=Unit.TPM)], r"cohort A in log2\(TPM\+1\)\. Received TPM"),
        ([cohort("A", 2, genes=GENES[::-1])], "genes in cohort A"),
        ([cohort("A", 2, expression=np.zeros((3, 7), np.float32))], r"shape \(2, 7\)"),
        ([cohort("A", 2, expression=np.full((2, 7), np.nan, np.float32))], "finite"),
        ([cohort("A", 0)], "not empty"),
        ([cohort("A b", 2), cohort("a+B", 2)], "names that differ"),
        ([cohort("A", 2), cohort("A", 3)], "names that differ"),
    ],
)
def test_an_assembly_that_breaks_its_promises_is_refused(tmp_path, cohorts, message):
    with pytest.raises(DatasetError, match=message) as caught:
        write_dataset(assembly(*cohorts), tmp_path / "data")
    one_line(caught.value)
    assert list(tmp_path.iterdir()) == []


# Ray ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local_ray():
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data sets options of its own that it deprecates
def test_ray_streams_the_same_rows(local_ray, tmp_path):
    long = cohort("Long", ROWS_PER_SHARD + 8)
    dataset = write_dataset(assembly(long, cohort("B", 3)), tmp_path / "data")
    matrix, samples = dataset.matrix(), dataset.samples()
    row_of = {pair: row for row, pair in enumerate(zip(samples["cohort"], samples["sample_id"], strict=True))}
    seen = []
    for batch in dataset.ray_dataset().iter_batches(batch_size=100, batch_format="numpy"):
        rows = [row_of[pair] for pair in zip(batch["cohort"], batch["sample_id"], strict=True)]
        assert batch["expression"].dtype == np.float32
        assert np.array_equal(batch["expression"], matrix[rows])
        seen += rows
    assert sorted(seen) == list(range(len(samples)))


# The promise ----------------------------------------------------------------------------------------------------------


def test_the_golden_v1_dataset_opens_and_has_its_exact_values(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "v1", ignore=shutil.ignore_patterns("README.md"))
    for path in (GOLDEN, tmp_path / "v1"):
        dataset = open_dataset(path, verify=True)
        assert dataset.fingerprint == "5297cfa305db9ee152ac91d2ba548916327bda4f4e57accec43a1df4684ea6eb"
        assert dataset.cohort_names == ("GSE96058", "Other cohort")
        assert dataset.genes == tuple(f"GENE{i:02d}" for i in range(24))
        assert dataset.gene_table.chroms == ("1",) * 12 + ("2",) * 8 + ("X",) * 4
        assert dataset.gene_table.tss.tolist() == [1000 + 250 * i for i in range(24)]
        i, j = np.indices((8, 24))
        assert np.array_equal(dataset.matrix(), ((7 * i + 3 * j) % 64 / 4).astype(np.float32))
        samples = dataset.samples()
        assert samples["sample_id"].tolist() == ["F1", "F2", "F3", "F4", "F5repl", "T 1", "T 2", "T 3"]
        assert samples["patient_id"].tolist() == [
            *[f"GSE96058:F{n}" for n in range(1, 6)],
            *("Other:1", "Other:1", "Other:2"),
        ]
        assert samples["ki67"].fillna("-").tolist() == [*("negative", "positive", "-", "-", "positive"), *["-"] * 3]
        assert samples["nhg"].fillna("-").tolist() == ["G1", "G2", "G3", "-", "G3", "G1", "-", "G2"]
        assert samples["er"].fillna("-").tolist() == ["positive"] * 4 + ["negative"] + ["-"] * 3
        assert samples["pgr"].isna().all() and samples["her2"].isna().all()
        assert samples["survival_days"].fillna(-1).tolist() == [100.0, 2367.0, 1.5, 0.0, -1, -1, -1, -1]
        assert samples["survival_event"].fillna(-1).tolist() == [0.0, 1.0, 1.0, 0.0, -1, -1, -1, -1]
        assert samples["platform"].tolist() == ["HiSeq 2000"] * 5 + ["unknown"] * 3
        assert samples["profile_sha256"].tolist() == profile_hashes(dataset.matrix())
        assert samples["profile_sha256"][0] == "6be4139cf9329da19cebfef9c1af12d0f86497f0b2439e482ae0016ab059a27f"
        assert dataset.simulated(["Other cohort"]) and not dataset.simulated(["GSE96058"])
        assert dataset.notes == ("GSE96058: 1 title has no profile.", "Other cohort: Made up for a test.")
        first = dataset.manifest.cohorts[0]
        assert (first.samples, first.subjects) == (5, 6)
        assert first.table_one.subjects["ki67"] == {"negative": 2, "positive": 2, "missing": 2}
        assert first.table_one.profiled["ki67"] == {"negative": 1, "positive": 2, "missing": 2}
        assert dataset.manifest.requested_genes == 24
        assert dataset.manifest.dropped == {"not in every cohort": 3}
        assert dataset.manifest.tasks["nhg"].classes == ("G1", "G2", "G3")
