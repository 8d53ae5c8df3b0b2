"""The contract of every network, and what is particular to the paper's."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aio_tune
from aio_tune.errors import TrialError
from aio_tune.models import NETWORKS, build, last_hidden, redrawn, reseeding
from aio_tune.models.aio_cnn import AioCnnParams
from aio_tune.models.safety import load_keras
from tests.models.small import TINY

PACKAGE = Path(aio_tune.__file__).parent
KINDS = [((8, 8, 1), 2), ((8, 8, 4), 3), ((64, 1), 2)]


def pictures(shape: tuple[int, ...], n: int = 3) -> Any:
    return np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("shape", "n_classes"), KINDS, ids=str)
def test_contract(network: str, shape: tuple[int, ...], n_classes: int, tmp_path: Path) -> None:
    params = {name: value for name, value in TINY.items() if name in NETWORKS[network].params.model_fields}
    model = build(params, shape, n_classes, seed=1, network=network)
    x = pictures(shape)
    probabilities = np.asarray(model(x))
    assert probabilities.shape == (3, n_classes)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert not model.compiled

    same, other = (build(params, shape, n_classes, seed=seed, network=network) for seed in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), same.get_weights(), strict=True))
    assert not np.array_equal(np.asarray(other(x)), probabilities)

    model.save(tmp_path / "model.keras")  # also: all its layers are on the list of what is loaded
    assert np.array_equal(np.asarray(load_keras(tmp_path / "model.keras")(x)), probabilities)


@pytest.mark.parametrize("head", ["softmax", "ordinal"])
@pytest.mark.parametrize(("shape", "n_classes"), KINDS, ids=str)
def test_drawn_anew_it_is_as_if_built_with_another_seed(shape: tuple[int, ...], n_classes: int, head: str) -> None:
    tiny = {name: value for name, value in TINY.items() if name in AioCnnParams.model_fields}
    params = {**tiny, "head": head, "dropout": 0.3, "input_dropout": 0.2}
    model, other = (build(params, shape, n_classes, seed=seed) for seed in (1, 7))
    before = numbers(model)
    drawn = redrawn(model, before, reseeding(1, 7, len(model.layers)))
    for variable, mine, expected in zip(other.variables, drawn, numbers(other), strict=True):
        np.testing.assert_array_equal(mine, expected, err_msg=variable.path)
        assert mine.dtype == expected.dtype
    assert all(np.array_equal(a, b) for a, b in zip(before, numbers(model), strict=True)), "the model is as it was"
    again = redrawn(model, before, reseeding(1, 1, len(model.layers)))
    assert all(np.array_equal(a, b) for a, b in zip(before, again, strict=True))
    changed = sum(not np.array_equal(a, b) for a, b in zip(before, drawn, strict=True))
    assert changed == sum("kernel" in v.path or "seed" in v.path for v in model.variables) - (head == "ordinal")


def numbers(model: Any) -> list[Any]:
    return [np.array(variable) for variable in model.variables]


@pytest.mark.parametrize("network", NETWORKS)
def test_defaults_are_within_their_own_ranges(network: str) -> None:
    params = NETWORKS[network].params
    assert params.model_validate(params().model_dump()) == params()


def layers_of(params: dict[str, Any], shape: tuple[int, ...] = (16, 16, 1)) -> dict[str, Any]:
    return {layer.name: layer for layer in build(params, shape, 2).layers}


def test_the_paper_s_two_branches() -> None:
    """Six 3x3 convolutions in pairs with pooling, one 1x1 convolution; an embedding; four fully connected layers."""
    layers = layers_of({})
    convolutions = [layer for name, layer in layers.items() if type(layer).__name__ == "Conv2D"]
    assert [layer.kernel_size for layer in convolutions] == [(3, 3)] * 6 + [(1, 1)]
    assert [layer.filters for layer in convolutions] == [8, 8, 16, 16, 32, 32, 8]
    assert sum(type(layer).__name__ == "MaxPooling2D" for layer in layers.values()) == 3
    assert sum(name.startswith("fc") and type(layer).__name__ == "Dense" for name, layer in layers.items()) == 4
    assert {"embedding", "concatenate"} <= layers.keys()


def test_every_parameter_reaches_the_network() -> None:
    """A parameter that changes nothing would be searched in vain."""
    elsewhere = {
        "branches": "conv", "filters": 3, "depth": 2, "kernel_size": 5, "pool": 3, "conv_l1": 0.1, "conv_l2": 0.1,
        "dropout": 0.55, "input_dropout": 0.7, "batch_norm": False, "bn_epsilon": 0.5, "bn_momentum": 0.5,
        "embedding_width": 7, "embedding_l1": 0.1, "embedding_l2": 0.5, "fc_widths": (5, 4, 3, 2), "fc_l2": 0.5,
        "head": "ordinal",
    }  # fmt: skip
    assert elsewhere.keys() == AioCnnParams.model_fields.keys()
    small = {"filters": 2, "depth": 1, "fc_widths": (2, 2, 2, 2)}
    base = build(small, (9, 9, 1), 2).get_config()
    for name, value in elsewhere.items():
        changed = build({**small, name: value}, (9, 9, 1), 2).get_config()
        assert changed != base, name


def test_the_ordinal_head_reads_all_classes_from_one_number() -> None:
    """So the log-odds of the classes, whatever the picture, lie on one line; in order before any training."""
    model = build({**TINY_NETWORK, "head": "ordinal"}, (8, 8, 1), 3, seed=2)
    logits = np.log(np.asarray(model(pictures((8, 8, 1), 40))))
    steps = np.diff(logits, axis=1)
    np.testing.assert_allclose(steps[:, 0], steps[:, 1], atol=1e-4)
    assert np.ptp(steps) > 1e-3
    assert last_hidden(model).shape == (None, TINY_NETWORK["fc_widths"][-1])
    plain = build(TINY_NETWORK, (8, 8, 1), 3, seed=2)
    assert last_hidden(plain).shape == last_hidden(model).shape
    assert np.linalg.matrix_rank(np.diff(np.log(np.asarray(plain(pictures((8, 8, 1), 40)))), axis=1), tol=1e-3) == 2


@pytest.mark.parametrize("branches", ["conv", "embedding"])
def test_one_branch_alone(branches: str) -> None:
    layers = layers_of({**TINY_NETWORK, "branches": branches})
    assert "concatenate" not in layers
    assert ("conv1a" in layers, "embedding" in layers) == (branches == "conv", branches == "embedding")


TINY_NETWORK = {name: value for name, value in TINY.items() if name in AioCnnParams.model_fields}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"filtres": 8}, "Received 'filtres'. Did you mean filters?"),
        ({"xyzzy": 8}, "Known are batch_norm"),
        ({"filters": 0}, "Parameter filters: Input should be greater than or equal to 1. Received 0."),
        ({"dropout": 1.0}, "Parameter dropout"),
        ({"conv_l2": float("nan")}, "Parameter conv_l2"),
        ({"branches": "all"}, "Parameter branches"),
        ({"fc_widths": []}, "Parameter fc_widths"),
        ({"fc_widths": [8, 0]}, "Parameter fc_widths.1"),
        ({"depth": 4}, "at least 16 pixels a side for depth 4 and pool 2. Received 8"),
    ],
)
def test_what_cannot_be_built(params: dict[str, Any], said: str) -> None:
    with pytest.raises(TrialError) as refused:
        build(params, (8, 8, 1), 2)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_pooling_is_no_matter_for_the_embedding_alone() -> None:
    assert build({"branches": "embedding", "depth": 6}, (8, 8, 1), 2).count_params()


def test_unknown_network() -> None:
    with pytest.raises(TrialError, match="Expected a network, one of aio_cnn"):
        build({}, (8, 8, 1), 2, network="resnet")


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_no_backend_by_name() -> None:
    """Networks and training are Keras alone, so that they run on its other backends; one module sets one up, and
    a room holds what TensorFlow does better than Keras."""
    files = [file for room in ("models", "training") for file in sorted((PACKAGE / room).rglob("*.py"))]
    assert files
    backends = {"tensorflow", "jax", "torch"}
    fused = [f"fused/{name}.py" for name in ("dials", "epoch", "layers", "optimizers")]
    there = [file.relative_to(PACKAGE) for file in files if imported(file) & backends]
    assert there == [Path("training") / name for name in ("backend.py", *fused)]


def test_importing_imports_no_keras() -> None:
    code = (
        "import sys, aio_tune.models.ensemble, aio_tune.training; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "branches": st.sampled_from(["both", "conv", "embedding"]),
        "filters": st.integers(1, 4),
        "depth": st.integers(1, 3),
        "kernel_size": st.integers(1, 5),
        "pool": st.integers(2, 3),
        "batch_norm": st.booleans(),
        "embedding_width": st.integers(1, 6),
        "fc_widths": st.lists(st.integers(1, 6), min_size=1, max_size=3),
    },
)


@pytest.mark.parametrize("network", NETWORKS)
@given(choices=CHOICES, shape=st.sampled_from([(8, 8, 1), (9, 7, 4), (30, 1)]), n_classes=st.integers(2, 3))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_parameters_are_counted_without_building(
    network: str, choices: dict[str, Any], shape: tuple[int, ...], n_classes: int
) -> None:
    params = NETWORKS[network].params.parse(choices)
    try:
        built = build(choices, shape, n_classes, network=network).count_params()
    except TrialError as error:
        with pytest.raises(TrialError) as refused:
            NETWORKS[network].count_parameters(params, shape, n_classes)
        assert str(refused.value) == str(error)
    else:
        assert NETWORKS[network].count_parameters(params, shape, n_classes) == built
