"""Commands about cohort files and datasets: simulate, prepare, describe."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.console import JsonOption, command_line, say, say_json, say_table
from aio_tune.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aio_tune.dataset import AioDataset
    from aio_tune.dataset.statistics import GeneStatistics
    from aio_tune.tasks import Task


def simulate(
    directory: Annotated[Path, typer.Argument(help="New folder for the files.")],
    samples: Annotated[int, typer.Option(help="Patients of the first cohort; the others have fewer.", min=60)] = 300,
    genes: Annotated[int, typer.Option(help="Genes.", min=64)] = 1024,
    seed: Annotated[int, typer.Option(help="Same seed, same files.", min=0)] = 0,
    omics: Annotated[
        list[str] | None, typer.Option(help="Another kind of omics: methylation or copy_number. May be repeated.")
    ] = None,
) -> None:
    """Write GEO-format files of three simulated cohorts.

    Example: aio-tune simulate sim --samples 300 --genes 1024 --omics methylation
    """
    from aio_tune.cohorts import simulate as write_simulation

    write_simulation(directory, samples=samples, genes=genes, seed=seed, omics=omics or ())
    say(f"Simulated cohorts GSE96058, GSE81538 and GSE163882 are in {directory} (no real patient is in them).")
    say(f"Next: {command_line('aio-tune', 'prepare', directory, '--out', 'dataset')}")


def prepare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of cohort files.")],
    out: Annotated[Path, typer.Option(help="New dataset folder.")],
    genes: Annotated[int, typer.Option(help="At most this many genes, in genomic order.", min=1)] = 16_384,
    annotation: Annotated[
        Path | None, typer.Option(help="Gene positions, TSV or GTF. Default: found in the folders.")
    ] = None,
    aliases: Annotated[
        Path | None,
        typer.Option(help="Other names of genes: HGNC's complete set, or TSV. Default: found in the folders."),
    ] = None,
    task: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A task of your own, declared in YAML; repeatable.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that is there.")] = False,
) -> None:
    """Turn cohort files into an AIO dataset.

    Interrupted at any moment it leaves what was there before; done again with the same files and options it says so.

    Example: aio-tune prepare geo/gse96058 geo/gse81538 --out dataset
    """
    from aio_tune.cli.prepare_view import PrepareView
    from aio_tune.cohorts.progress import telling
    from aio_tune.dataset import unchanged
    from aio_tune.tasks import with_declared

    tasks = with_declared(task or [])
    try:
        dataset = unchanged(out, folders, genes, annotation, aliases, tasks)
        if dataset is not None:
            say(f"Nothing to do: {out} was made of the same files with the same options.")
        else:
            with PrepareView() as view, telling(view):
                dataset = prepare_dataset(
                    folders, out, genes=genes, annotation=annotation, aliases=aliases, tasks=tasks, overwrite=overwrite
                )
    except KeyboardInterrupt:
        raise DatasetError(f"The preparation was interrupted; nothing unfinished is left at {out}.") from None
    for note in notes_of(dataset):
        say(f"note: {note}")
    profiles = sum(cohort.samples for cohort in dataset.manifest.cohorts)
    names = ", ".join(dataset.cohort_names)
    say(f"{out}: {profiles:,} profiles x {len(dataset.genes):,} genes, cohorts {names}.")
    say(f"Next: {command_line('aio-tune', 'describe', out)}")


def prepare_dataset(
    folders: list[Path],
    out: Path,
    *,
    genes: int,
    annotation: Path | None,
    aliases: Path | None = None,
    tasks: "Mapping[str, Task] | None" = None,
    overwrite: bool = False,
) -> "AioDataset":
    """Read the cohorts of ``folders``, bring them to common genes and scale, and write the dataset."""
    from aio_tune.cohorts import assemble, find_names, find_positions, read_folder, read_names, read_positions
    from aio_tune.dataset import check_target, write_dataset
    from aio_tune.tasks import TASKS

    check_target(out, overwrite)
    asked = TASKS if tasks is None else tasks
    cohorts = [cohort for folder in folders for cohort in read_folder(folder, asked)]
    positions = read_positions(annotation or find_positions(folders))
    table = aliases or find_names(folders)
    names = None if table is None else read_names(table)
    # In place: the expression as read is not needed any more.
    assembly = assemble(cohorts, positions, genes, names=names, in_place=True)
    return write_dataset(assembly, out, n_genes=genes, overwrite=overwrite)


def describe(
    dataset_path: Annotated[Path, typer.Argument(metavar="DATASET", help="An AIO dataset.")],
    images: Annotated[Path | None, typer.Option(help="Draw the AIOs of two patients of each class here.")] = None,
    harmoniser: Annotated[str, typer.Option(help="Show the shift between cohorts before and after this one.")] = "",
    reference: Annotated[str, typer.Option(help="Cohort that it is fitted on. Default: the first.")] = "",
    shift: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the shift: samples on two principal components.")
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write n, mean, sd, min and max by gene: .csv or .parquet.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check every checksum first.")] = False,
    address: Annotated[str, typer.Option(help="Ray cluster for --verify and --statistics. Default: none.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Table 1 of the cohorts, their genes, and how alike they are.

    Example: aio-tune describe dataset --harmoniser quantile --shift shift.png
    """
    from aio_tune.cli.shift_view import draw_shifts, measure_shifts, print_shifts, shift_facts
    from aio_tune.cli.statistics_view import check_and_sum_up, check_name
    from aio_tune.dataset import open_dataset

    # First: what cannot be done leaves nothing behind.
    if statistics:
        check_name(statistics)
    dataset = open_dataset(dataset_path, verify=verify and not address)
    asked = bool(harmoniser or reference or shift)
    shifts = measure_shifts(dataset, harmoniser or "none", reference) if asked else {}
    correlation = _correlation(dataset, check_and_sum_up(dataset, statistics, verify=verify, address=address))
    pictures = draw_images(dataset, images) if images else []
    if shift:
        pictures.append(draw_shifts(shifts, shift))
    if as_json:
        say_json(
            {
                "table_one": _table_one(dataset),
                "genes": len(dataset.genes),
                "correlation": correlation,
                "kinds": {
                    kind.name: {"unit": kind.unit.value, "profiles": kind.profiles} for kind in dataset.manifest.kinds
                },
                **(shift_facts(shifts, dataset) if shifts else {}),
            }
        )
        return
    _print_description(dataset, correlation)
    if shifts:
        print_shifts(shifts, dataset, reference)
    if statistics:
        say(f"statistics: {statistics}")
    for path in pictures:
        say(f"picture: {path}")


def _table_one(dataset: "AioDataset") -> dict[str, dict[str, dict[str, dict[str, int]]]]:
    return {
        cohort.name: {"subjects": cohort.table_one.subjects, "profiled": cohort.table_one.profiled}
        for cohort in dataset.manifest.cohorts
    }


def _print_description(dataset: "AioDataset", correlation: dict[str, float]) -> None:
    cohorts = dataset.manifest.cohorts
    columns = ["", *[f"{cohort.name}{' (simulated)' if cohort.simulated else ''}" for cohort in cohorts]]
    rows = [["all", *[f"{cohort.subjects:,} / {cohort.samples:,}" for cohort in cohorts]]]
    tables = [cohort.table_one for cohort in cohorts]
    for task in dataset.tasks.values():
        for name in (*task.classes, "missing"):
            counts = [(table.subjects[task.name][name], table.profiled[task.name][name]) for table in tables]
            rows.append([f"{task.title}: {name}", *[f"{subjects:,} / {profiled:,}" for subjects, profiled in counts]])
    say_table("Table 1: subjects of the clinical table / those with a profile", columns, rows)
    manifest = dataset.manifest
    say(f"Genes: {len(dataset.genes):,}, {dataset.genes[0]} to {dataset.genes[-1]} in genomic order; {manifest.unit}.")
    for reason, count in manifest.dropped.items():
        say(f"  left out, {reason}: {count:,}")
    for kind in manifest.kinds:
        having = [f"{cohort.name} {kind.profiles[cohort.name]:,} of {cohort.samples:,}" for cohort in cohorts]
        say(f"Profiles with {kind.name} ({kind.unit.value}): {', '.join(having)}.")
    for pair, value in correlation.items():
        say(f"Pearson R of gene means, {pair}: {value:.3f}")
    for note in notes_of(dataset):
        say(f"note: {note}")


def notes_of(dataset: "AioDataset") -> list[str]:
    """What the readers had to tell, each thing once: cohorts read from the same files share some of it."""
    return list(dict.fromkeys(note for cohort in dataset.manifest.cohorts for note in cohort.notes))


def _correlation(dataset: "AioDataset", found: "dict[str, GeneStatistics]") -> dict[str, float]:
    """Pearson R of the genes' mean expression for each pair of cohorts."""
    from itertools import combinations

    import numpy as np

    means = {name: figures.mean[: len(dataset.genes)] for name, figures in found.items()}  # expression comes first
    return {f"{a} to {b}": float(np.corrcoef(means[a], means[b])[0, 1]) for a, b in combinations(means, 2)}


def draw_images(dataset: "AioDataset", folder: Path, per_class: int = 2) -> list[Path]:
    """Draw the expression of some patients of each class of each task, min-max scaled as in the paper.

    Returns:
        The files made.
    """
    from aio_tune.figures import aio_figure, save_png
    from aio_tune.kinds import EXPRESSION
    from aio_tune.preprocess import Preprocessor

    folder.mkdir(parents=True, exist_ok=True)
    first = (dataset.cohort_names[0],)
    samples, matrix = dataset.samples(first), dataset.matrix(first, kinds=(EXPRESSION,))
    preprocessor = Preprocessor.fit("minmax", "square", matrix, seed=0)
    paths = []
    for task in dataset.tasks.values():
        chosen = [
            row for name in task.classes for row in samples.index[samples[task.name] == name][:per_class].tolist()
        ]
        if not chosen:
            continue
        titles = [f"{samples['sample_id'][row]}: {samples[task.name][row]}" for row in chosen]
        path = folder / f"aio_{task.name}.png"
        save_png(aio_figure(preprocessor.transform(matrix[chosen]), titles), path)
        paths.append(path)
    return paths
