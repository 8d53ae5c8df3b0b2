"""Whether preparing a dataset again would give the same dataset."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from aio_tune.cohorts import FORMATS, find_names, find_positions
from aio_tune.dataset.manifest import CohortEntry, Manifest, release
from aio_tune.dataset.opened import AioDataset, open_dataset
from aio_tune.errors import CohortError, DatasetError
from aio_tune.files import sha256_of
from aio_tune.tasks import TASKS, Task


def unchanged(
    out: Path,
    folders: Sequence[Path],
    n_genes: int | None = None,
    positions: Path | None = None,
    names: Path | None = None,
    tasks: Mapping[str, Task] = TASKS,
) -> AioDataset | None:
    """The dataset at ``out``, if it is whole and made of these very files, with these settings, by this release.

    Lets a second ``prepare`` end before it reads what is in the files: it compares their sha256 alone, a second for a
    gigabyte. None is the answer whenever there is a doubt, also for a dataset that is damaged, for then it must be
    written anyway.

    Args:
        out: a dataset folder, or where one is to be.
        folders: the folders of cohort files, in the order in which they are read.
        n_genes: how many genes are asked for at most; None is all.
        positions: the file of gene positions; by default the one found in the folders.
        names: the table of gene aliases; likewise.
        tasks: the questions whose labels it is to have.
    """
    try:
        dataset = open_dataset(out, verify=True)
        positions, names = positions or find_positions(folders), names or find_names(folders)
    except (DatasetError, CohortError):
        return None
    manifest = dataset.manifest
    if manifest.package_version != release() or manifest.requested_genes != n_genes:
        return None
    if {name: entry.sha256 for name, entry in manifest.tasks.items()} != {n: task.sha256 for n, task in tasks.items()}:
        return None
    genes = manifest.genes
    tables = [(genes.source, genes.source_sha256), (genes.aliases, genes.aliases_sha256)]
    if [_facts(positions), _facts(names)] != tables:
        return None
    held: list[CohortEntry] = []
    for folder in folders:
        here = _cohorts_of(folder, manifest)
        if not here:
            return None
        held += here
    return dataset if tuple(held) == manifest.cohorts else None


def _facts(path: Path | None) -> tuple[str, str]:
    """Name and sha256 of a file; empty where there is none."""
    return (path.name, sha256_of(path)) if path and path.is_file() else ("", "")


def _cohorts_of(folder: Path, manifest: Manifest) -> list[CohortEntry]:
    """The dataset's cohorts whose files, unchanged, are in the folder; none if other files of it would be read too."""
    if not folder.is_dir():
        return []
    files = {path.name: path for path in folder.iterdir() if path.is_file()}
    known = {name for cohort in manifest.cohorts for name in cohort.sources} & files.keys()
    actual = {name: sha256_of(files[name]) for name in known}
    is_simulated = "simulation.json" in files
    cohorts = [
        cohort
        for cohort in manifest.cohorts
        if cohort.sources.items() <= actual.items() and cohort.simulated == is_simulated
    ]
    used = {name for cohort in cohorts for name in cohort.sources}
    return [] if _would_be_read(files.keys() - used) else cohorts


def _would_be_read(names: Collection[str]) -> bool:
    """Whether a known format would take files of these names for its own; they do so by name alone."""
    if any(name.endswith((".yaml", ".yml")) for name in names):
        return True  # a description may change how another file is read
    with TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / name).touch()
        return any(known.claims(Path(folder)) for known in FORMATS)
