"""The default network at 64 x 64 x 4, as benchmarks need it: its operations, pictures for it, the same in PyTorch."""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.models.aio_cnn import AioCnnParams

SHAPE = (64, 64, 4)
CLASSES = 3
PARAMS = AioCnnParams()


def pictures(rows: int, shape: tuple[int, ...] = SHAPE) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Noise, shape (rows, *shape), and one-hot classes, shape (rows, CLASSES)."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, *shape), dtype=np.float32)
    return x, np.eye(CLASSES, dtype=np.float32)[random.integers(CLASSES, size=rows)]


def flops_per_sample(params: AioCnnParams = PARAMS, shape: tuple[int, ...] = SHAPE) -> int:
    """Of one sample in one training step: forward, and twice that backward."""
    side, channels = shape[0], shape[-1]
    forward = 0
    for pair in range(params.depth):
        filters = params.filters * 2**pair
        for inputs in (channels, filters):
            forward += 2 * side**2 * params.kernel_size**2 * inputs * filters
        channels, side = filters, side // params.pool
    forward += 2 * side**2 * channels * params.filters
    widths = (side**2 * params.filters + params.embedding_width, *params.fc_widths, CLASSES)
    forward += 2 * math.prod(shape) * params.embedding_width
    forward += sum(2 * a * b for a, b in itertools.pairwise(widths))
    return 3 * forward


def torch_network() -> tuple[Any, list[dict[str, Any]]]:
    """The same layers, He initialisation included, and groups of weights for an optimizer.

    Adam's weight decay in PyTorch is added to the gradient; twice Keras' L2 factor there is the same penalty, for less.
    """
    import torch
    from torch import nn

    params = PARAMS

    def normed(layer: Any, norm: Any) -> list[Any]:
        return [layer, norm(layer.weight.shape[0], eps=params.bn_epsilon, momentum=1 - params.bn_momentum), nn.ReLU()]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            parts: list[Any] = []
            channels = SHAPE[-1]
            for pair in range(params.depth):
                filters = params.filters * 2**pair
                for inputs in (channels, filters):
                    one = nn.Conv2d(inputs, filters, params.kernel_size, padding="same", bias=False)
                    parts += normed(one, nn.BatchNorm2d)
                parts.append(nn.MaxPool2d(params.pool))
                channels = filters
            parts += normed(nn.Conv2d(channels, params.filters, 1, bias=False), nn.BatchNorm2d)
            side = SHAPE[0] // params.pool**params.depth
            self.convolutions = nn.Sequential(*parts, nn.Flatten())
            wide = nn.Linear(math.prod(SHAPE), params.embedding_width, bias=False)
            self.embedding = nn.Sequential(nn.Flatten(), *normed(wide, nn.BatchNorm1d))
            widths = (side**2 * params.filters + params.embedding_width, *params.fc_widths)
            dense = [[nn.Linear(a, b), nn.ReLU()] for a, b in itertools.pairwise(widths)]
            self.connected = nn.Sequential(*(layer for pair in dense for layer in pair))
            self.calls = nn.Linear(widths[-1], CLASSES)
            self.dropout = nn.Dropout(params.input_dropout)
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.kaiming_normal_(module.weight)

        def forward(self, x: Any) -> Any:
            x = self.dropout(x)
            return self.calls(self.connected(torch.cat([self.convolutions(x), self.embedding(x)], dim=1)))

    network = Network().to(memory_format=torch.channels_last)
    connected = [layer for layer in network.connected if isinstance(layer, nn.Linear)]
    penalties = {
        params.conv_l2: [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)],
        params.embedding_l2: [network.embedding[1]],
    }
    penalties[params.fc_l2] = [*penalties.get(params.fc_l2, []), *connected]
    groups: list[dict[str, Any]] = [
        {"params": [layer.weight for layer in layers], "weight_decay": 2 * penalty}
        for penalty, layers in penalties.items()
    ]
    known = {id(p) for group in groups for p in group["params"]}
    groups.append({"params": [p for p in network.parameters() if id(p) not in known], "weight_decay": 0.0})
    return network, groups
