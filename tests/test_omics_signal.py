"""Whether networks learn from a further kind of omics what expression does not tell, on simulated cohorts."""

import numpy as np
import pytest

from aio_tune.cohorts import assemble, find_positions, read_folder, read_positions, simulate
from aio_tune.dataset import AioDataset, write_dataset
from aio_tune.evaluation import LogisticOnComponents, cross_validate
from aio_tune.kinds import select
from aio_tune.metrics import evaluate_calls
from aio_tune.search.rows import TrainingRows, training_rows
from aio_tune.training import FoldSpec, FoldTrainer

PARAMS = {
    "branches": "embedding",
    "embedding_width": 32,
    "embedding_l2": 0.03,
    "fc_widths": [16],
    "learning_rate": 1e-3,
    "batch_size": 16,
}
EPOCHS = 15


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> AioDataset:
    folder = simulate(
        tmp_path_factory.mktemp("signal") / "geo", samples=(500, 30, 20), genes=192, seed=4, omics=("methylation",)
    )
    assembly = assemble(read_folder(folder), read_positions(find_positions([folder])))
    return write_dataset(assembly, folder.parent / "dataset")


def out_of_fold_auc(rows: TrainingRows, omics: str, labels: np.ndarray) -> float:
    x, probabilities = rows.expression(), np.zeros((len(labels), 2))
    program = None
    for fold, (train, valid) in enumerate(zip(rows.folds.train, rows.folds.valid, strict=True)):
        trainer = FoldTrainer(
            {**PARAMS, "omics": omics},
            x,
            labels,
            FoldSpec(fold, train, valid),
            rows.task.classes,
            seed=0,
            program=program,
            kinds=rows.kinds,
        )
        program = trainer.program
        probabilities[valid] = trainer.train_to(EPOCHS).probabilities
    return evaluate_calls(labels, probabilities, rows.task.classes)["auc"]


@pytest.mark.slow
def test_a_network_that_sees_methylation_knows_more_of_ki67(dataset: AioDataset) -> None:
    rows = training_rows(dataset, "ki67", ["GSE96058"], 3, seed=0)
    has = dataset.manifest.kinds[0].profiles["GSE96058"]
    assert 0.7 * 500 < has < 0.95 * 500  # some have none, and they count in the AUC, too
    alone = out_of_fold_auc(rows, "expression", rows.labels)
    both = out_of_fold_auc(rows, "expression+methylation", rows.labels)
    assert alone > 0.75
    assert both > alone + 0.02


@pytest.mark.slow
def test_a_kind_that_knows_nothing_breaks_nothing(dataset: AioDataset) -> None:
    rows = training_rows(dataset, "ki67", ["GSE96058"], 3, seed=0)
    labels = np.random.default_rng(0).permutation(rows.labels)
    assert 0.35 < out_of_fold_auc(rows, "all", labels) < 0.65


def test_the_baseline_is_shown_the_same_kinds(dataset: AioDataset) -> None:
    rows = training_rows(dataset, "ki67", ["GSE96058"], 3, seed=0)
    x = rows.expression()
    shared = (rows.labels, rows.folds, rows.task.classes, 0)
    alone = np.mean([fold["auc"] for fold in cross_validate(LogisticOnComponents, x[:, : len(dataset.genes)], *shared)])
    both = np.mean([fold["auc"] for fold in cross_validate(LogisticOnComponents, x, *shared)])
    assert both > alone + 0.02


def test_the_baseline_in_pieces_knows_about_as_much(dataset: AioDataset) -> None:
    rows = training_rows(dataset, "ki67", ["GSE96058"], 3, seed=0)
    x = rows.expression()
    x[:140, len(dataset.genes) :] = np.nan  # the first piece has no methylation at all
    at_once = cross_validate(LogisticOnComponents, x, rows.labels, rows.folds, rows.task.classes, 0)
    in_pieces = cross_validate(
        LogisticOnComponents, select(x, rows.kinds, rows.kinds[::-1]), rows.labels, rows.folds, rows.task.classes, 0
    )
    for one, other in zip(at_once, in_pieces, strict=True):
        assert abs(one["auc"] - other["auc"]) < 0.05
