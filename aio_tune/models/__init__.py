"""The networks: ``build(params, input_shape, n_classes) -> keras.Model``, and the ensemble of a trial's fold models.

A new network is one file and one line in ``NETWORKS``. Everything here uses ``keras`` and ``keras.ops`` alone, so that
it also runs with the JAX backend; importing this package imports no Keras.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aio_tune.errors import TrialError
from aio_tune.models.aio_cnn import AioCnn
from aio_tune.models.base import HEAD, Network
from aio_tune.models.seeds import Seeds, redrawn, reseeding, to_numpy

if TYPE_CHECKING:
    import keras

NETWORKS: dict[str, Network] = {network.name: network for network in (AioCnn(),)}
DEFAULT_NETWORK = "aio_cnn"


def build(
    params: Mapping[str, Any],
    input_shape: tuple[int, ...],
    n_classes: int,
    seed: int = 0,
    *,
    network: str = DEFAULT_NETWORK,
) -> "keras.Model":
    """A new network, not compiled, with softmax probabilities (n, n_classes) as its output.

    Args:
        params: the network's parameters; those left out have their defaults.
        input_shape: of one picture, (height, width, channels), or (length, 1) for a 1-D layout.
        n_classes: at least two.
        seed: of the initial weights and of dropout.
        network: one of ``NETWORKS``.

    Raises:
        TrialError: a parameter is unknown or out of range, or the picture is too small for the network.
    """
    if network not in NETWORKS:
        raise TrialError(f"Expected a network, one of {', '.join(NETWORKS)}. Received {network!r}.")
    return NETWORKS[network].build(params, input_shape, n_classes, seed)


def last_hidden(model: "keras.Model") -> Any:
    """What the head of a network of ours reads: the output of its last hidden layer."""
    return next(layer for layer in model.layers if layer.name in HEAD).input


__all__ = [
    "DEFAULT_NETWORK",
    "NETWORKS",
    "Network",
    "Seeds",
    "build",
    "last_hidden",
    "redrawn",
    "reseeding",
    "to_numpy",
]
