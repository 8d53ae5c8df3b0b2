"""Training on further kinds of omics."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aio_tune.errors import TrialError
from aio_tune.models import DEFAULT_NETWORK, NETWORKS, build
from aio_tune.models.safety import load_keras
from aio_tune.preprocess import Preprocessor
from aio_tune.search.feasibility import Feasibility
from aio_tune.search_space import SearchSpec
from aio_tune.training import FoldTrainer, Program, input_shape, split_params
from aio_tune.training.checkpoint import MODEL, PREPROCESSING
from tests.models.small import CLASSES, GENES, TINY
from tests.models.small_omics import KINDS, omics_samples
from tests.test_training import SPECS, same

X, Y = omics_samples()


def trainer(x: Any = X, kinds: tuple[str, ...] = KINDS, program: Program | None = None, **params: Any) -> FoldTrainer:
    return FoldTrainer({**TINY, **params}, x, Y, SPECS[0], CLASSES, seed=3, program=program, kinds=kinds)


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(TINY, input_shape(TINY, GENES, KINDS), len(CLASSES))


@pytest.mark.parametrize("layout", ["square", "1d", "stacked", "5x5x2"])
@pytest.mark.parametrize("branches", ["both", "conv", "embedding"])
@pytest.mark.parametrize("omics", ["all", "expression"])
def test_the_network_has_the_channels_and_weights_that_were_foretold(layout: str, branches: str, omics: str) -> None:
    params = {**TINY, "layout": layout, "branches": branches, "omics": omics}
    shape = input_shape(params, GENES, KINDS)
    n_kinds = 2 if omics == "all" else 1
    x = X[:, : n_kinds * GENES]
    assert shape == Preprocessor.fit("zscore", layout, x, seed=0, kinds=KINDS[:n_kinds]).shape
    network = split_params(params)[1]
    model = build(network.model_dump(), shape, 2, seed=0)
    assert model.input_shape == (None, *shape)
    assert model.count_params() == NETWORKS[DEFAULT_NETWORK].count_parameters(network, shape, 2)


def test_methylation_tells_what_expression_does_not(program: Program) -> None:
    assert trainer(program=program).train_to(30).metrics["auc"] > 0.85
    assert trainer(omics="expression").train_to(30).metrics["auc"] < 0.8


def test_expression_alone_is_what_it_is_without_other_kinds_beside_it() -> None:
    alone = trainer(np.ascontiguousarray(X[:, :GENES]), ("expression",)).train_to(3)
    same(trainer(omics="expression").train_to(3), alone)


def test_going_on_equals_never_having_stopped(program: Program, tmp_path: Path) -> None:
    straight = trainer(program=program).train_to(4)
    begun = trainer(program=program)
    begun.train_to(2)
    begun.save(tmp_path)
    resumed = trainer(program=program)
    resumed.restore(tmp_path)
    same(resumed.train_to(4), straight)
    resumed.export(tmp_path)
    pictures = Preprocessor.load(tmp_path / PREPROCESSING).transform(X[SPECS[0].valid])
    calls = np.asarray(load_keras(tmp_path / MODEL)(pictures, training=False))
    np.testing.assert_allclose(calls, straight.probabilities, atol=1e-5)


def feasibility(kinds: tuple[str, ...] = KINDS) -> Feasibility:
    spec = SearchSpec.model_validate({"task": "ki67", "trials": 1, "epochs": 1, "space": {}})
    return Feasibility(spec, 64, 2, kinds=kinds)


def test_kinds_that_the_dataset_lacks_are_refused_in_one_line() -> None:
    with pytest.raises(TrialError, match=r"has, expression, methylation\. Received copy_number"):
        trainer(omics="expression+copy_number")
    said = feasibility().refusal({"omics": "expression+copy_number"})
    assert said.startswith(
        "Expected kinds of omics that the dataset has, expression, methylation. Received copy_number."
    )
    assert feasibility().refusal({"omics": "methylation"}).count("\n") == 0
    assert "with further kinds" in feasibility().refusal({"omics": "methylation"})
    for fine in ("all", "expression", "expression+methylation", "methylation+expression"):
        assert feasibility().refusal({"omics": fine}) == ""


def test_configurations_that_mean_the_same_kinds_are_the_same() -> None:
    two = feasibility()
    same_two = [{}, {"omics": "all"}, {"omics": "expression+methylation"}, {"omics": "methylation+expression"}]
    assert len({two.identity(params) for params in same_two}) == 1
    assert two.identity({"omics": "expression"}) != two.identity({})
    one = feasibility(("expression",))
    assert one.identity({"omics": "expression"}) == one.identity({})
