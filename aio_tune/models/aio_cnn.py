"""The network of Chen et al. (Breast Cancer Res 23:96, 2021): a picture read by two branches.

The paper's: two branches from one picture. Left, a modified VGG: six 3x3 convolutions in pairs, each pair followed by
pooling, then one 1x1 convolution. Right, an embedding branch. Both are concatenated and followed by four fully
connected layers. It varied kernel size, L1/L2 regularisers, learning rate and epsilon by hand.

Ours, because the paper does not give them: number of filters (doubled from pair to pair), dropout, widths, the place
of batch normalisation (between convolution and ReLU), the embedding as one dense ReLU layer over all genes, the width
of the 1x1 convolution (that of the first pair, so that what is flattened stays small), He initialisation, and a
softmax layer after the four, for two classes too. The ordinal head, for classes in an order, is Anderson's stereotype
model (J R Stat Soc B 46:1, 1984): one number is read from the picture, and each class's log-odds are linear in it.
1-D and 2-D networks are the same code with other layers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from aio_tune.errors import TrialError
from aio_tune.models.base import Network, Params
from aio_tune.models.seeds import Seeds

if TYPE_CHECKING:
    import keras

Width = Annotated[int, Field(ge=1, le=8192)]


class AioCnnParams(Params):
    """Every choice of the network. Defaults are small enough for a laptop and did well on 150 real patients.

    Dropout between the four narrow layers made that worse in both of two tries (AUC .85 and .83 at a rate of .3, .86
    without), so it is off unless asked for; dropout of genes stays.
    """

    branches: Literal["both", "conv", "embedding"] = Field("both", description="which branches the network has")
    filters: int = Field(8, ge=1, le=512, description="filters of the first pair of convolutions; doubled per pair")
    depth: int = Field(3, ge=1, le=6, description="pairs of convolutions, each followed by pooling; the paper has 3")
    kernel_size: int = Field(3, ge=1, le=15, description="pixels; the paper has 3")
    pool: int = Field(2, ge=2, le=8, description="pooling factor after each pair, pixels")
    conv_l1: float = Field(0.0, ge=0, le=10, description="L1 penalty on the convolutions' kernels")
    conv_l2: float = Field(1e-4, ge=0, le=10, description="L2 penalty on the convolutions' kernels")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of units dropped after each fully connected layer")
    input_dropout: float = Field(0.2, ge=0, lt=1, description="share of genes dropped; keeps single genes from ruling")
    batch_norm: bool = Field(True, description="batch normalisation in the convolutions and after the embedding")
    bn_epsilon: float = Field(1e-3, gt=0, le=1, description="added to the variance in batch normalisation")
    bn_momentum: float = Field(0.9, ge=0, lt=1, description="of the moving averages; short, since trainings are short")
    embedding_width: Width = Field(64, description="units of the embedding branch")
    embedding_l1: float = Field(0.0, ge=0, le=10, description="L1 penalty on the embedding's kernel")
    embedding_l2: float = Field(1e-2, ge=0, le=10, description="L2 penalty on it, which holds most weights")
    fc_widths: tuple[Width, ...] = Field(
        (64, 32, 32, 16), min_length=1, max_length=8, description="fully connected layers; the paper has four"
    )
    fc_l2: float = Field(1e-4, ge=0, le=10, description="L2 penalty on the fully connected layers' kernels")
    head: Literal["softmax", "ordinal"] = Field(
        "softmax", description="ordinal: all classes are read from one number, for classes in an order such as grades"
    )


class AioCnn(Network):
    """The two-branch network; see the module's text for what is the paper's and what is ours."""

    name = "aio_cnn"
    params = AioCnnParams

    def build(
        self, params: Mapping[str, Any], input_shape: tuple[int, ...], n_classes: int, seed: int
    ) -> "keras.Model":
        import keras
        from keras import layers

        chosen = AioCnnParams.parse(params)
        if chosen.branches != "embedding":
            _check_pooling(chosen, input_shape)
        seeds = Seeds(seed)
        picture = keras.Input(input_shape, name="picture")
        x = picture
        if chosen.input_dropout:
            x = layers.Dropout(chosen.input_dropout, seed=seeds.next(), name="input_dropout")(x)
        branches = []
        if chosen.branches in ("both", "conv"):
            branches.append(_convolutions(x, chosen, seeds))
        if chosen.branches in ("both", "embedding"):
            branches.append(_embedding(x, chosen, seeds))
        x = layers.Concatenate(name="concatenate")(branches) if len(branches) > 1 else branches[0]
        x = _fully_connected(x, chosen, seeds)
        ordinal = chosen.head == "ordinal"
        if ordinal:
            x = layers.Dense(1, use_bias=False, kernel_initializer=seeds.he(), name="severity")(x)
        last = layers.Dense(
            n_classes, activation="softmax", kernel_initializer="zeros" if ordinal else seeds.he(), name="calls"
        )
        calls = last(x)
        if ordinal:
            # Equal steps from class to class, to be learnt further: so the order is there from the beginning.
            last.kernel.assign(np.linspace(-1, 1, n_classes, dtype=np.float32)[np.newaxis])
        return keras.Model(picture, calls, name=self.name)

    def count_parameters(self, params: Params, input_shape: tuple[int, ...], n_classes: int) -> int:
        chosen = AioCnnParams.model_validate(params.model_dump())
        total, joined = 0, 0
        if chosen.branches != "embedding":
            _check_pooling(chosen, input_shape)
            total, joined = _count_convolutions(chosen, input_shape)
        if chosen.branches != "conv":
            total += int(np.prod(input_shape)) * chosen.embedding_width + _count_norm(chosen, chosen.embedding_width)
            joined += chosen.embedding_width
        for width in chosen.fc_widths:
            total += (joined + 1) * width
            joined = width
        if chosen.head == "ordinal":
            total, joined = total + joined, 1
        return total + (joined + 1) * n_classes


def _count_convolutions(params: AioCnnParams, input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Weights of the convolutions, and how many numbers they hand on."""
    sides, channels = input_shape[:-1], input_shape[-1]
    area = params.kernel_size ** len(sides)
    total = 0
    for pair in range(params.depth):
        filters = params.filters * 2**pair
        for inputs in (channels, filters):
            total += area * inputs * filters + _count_norm(params, filters)
        channels = filters
        sides = tuple(side // params.pool for side in sides)
    total += channels * params.filters + _count_norm(params, params.filters)
    return total, int(np.prod(sides)) * params.filters


def _count_norm(params: AioCnnParams, features: int) -> int:
    """Scale, offset and two moving averages, or else a bias."""
    return (4 if params.batch_norm else 1) * features


def _check_pooling(params: AioCnnParams, input_shape: tuple[int, ...]) -> None:
    smallest = min(input_shape[:-1])
    if smallest // params.pool**params.depth < 1:
        raise TrialError(
            f"Expected a picture of at least {params.pool**params.depth} pixels a side for depth {params.depth} and "
            f"pool {params.pool}. Received {smallest}: the network would pool below one pixel."
        )


def _convolutions(x: Any, params: AioCnnParams, seeds: Seeds) -> Any:
    from keras import layers, regularizers

    flat = len(x.shape) == 3
    convolution = layers.Conv1D if flat else layers.Conv2D
    pooling = layers.MaxPooling1D if flat else layers.MaxPooling2D

    def convolve(x: Any, filters: int, size: int, name: str) -> Any:
        # With batch normalisation a bias of its own would be subtracted again.
        x = convolution(
            filters, size, padding="same", use_bias=not params.batch_norm, kernel_initializer=seeds.he(),
            kernel_regularizer=regularizers.L1L2(params.conv_l1, params.conv_l2), name=name,
        )(x)  # fmt: skip
        return _activate(x, params, name)

    for pair in range(params.depth):
        for half in ("a", "b"):
            x = convolve(x, params.filters * 2**pair, params.kernel_size, f"conv{pair + 1}{half}")
        x = pooling(params.pool, name=f"pool{pair + 1}")(x)
    x = convolve(x, params.filters, 1, "conv_1x1")
    return layers.Flatten(name="conv_flatten")(x)


def _embedding(x: Any, params: AioCnnParams, seeds: Seeds) -> Any:
    from keras import layers, regularizers

    x = layers.Flatten(name="embedding_flatten")(x)
    x = layers.Dense(
        params.embedding_width, use_bias=not params.batch_norm, kernel_initializer=seeds.he(),
        kernel_regularizer=regularizers.L1L2(params.embedding_l1, params.embedding_l2), name="embedding",
    )(x)  # fmt: skip
    return _activate(x, params, "embedding")


def _fully_connected(x: Any, params: AioCnnParams, seeds: Seeds) -> Any:
    from keras import layers, regularizers

    for i, width in enumerate(params.fc_widths, start=1):
        x = layers.Dense(
            width, activation="relu", kernel_initializer=seeds.he(), kernel_regularizer=regularizers.L2(params.fc_l2),
            name=f"fc{i}",
        )(x)  # fmt: skip
        if params.dropout:
            x = layers.Dropout(params.dropout, seed=seeds.next(), name=f"fc{i}_dropout")(x)
    return x


def _activate(x: Any, params: AioCnnParams, name: str) -> Any:
    from keras import layers

    if params.batch_norm:
        x = layers.BatchNormalization(epsilon=params.bn_epsilon, momentum=params.bn_momentum, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
