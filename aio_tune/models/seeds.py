"""What is random in a network: every layer that draws has a seed of its own, and all of them come from one."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Keep = Callable[[Hashable, Callable[[], npt.NDArray[Any]]], npt.NDArray[Any]]
"""Gives what is called by a name, made now if it is not kept; such as ``Shelf.get``."""


class Seeds:
    """Seeds for one layer after the other: Keras draws unseeded ones from a state shared by the process."""

    def __init__(self, seed: int | Sequence[int]) -> None:
        self._random = np.random.default_rng(seed)

    def next(self) -> int:
        return int(self._random.integers(2**31))

    def he(self) -> Any:
        """He initialisation with the next seed."""
        import keras

        return keras.initializers.HeNormal(seed=self.next())


def reseeding(of: int | Sequence[int], to: int | Sequence[int], n: int) -> dict[int, int]:
    """The first ``n`` layer seeds of ``Seeds(of)``, and what they are with ``to``."""
    old, new = Seeds(of), Seeds(to)
    return {old.next(): new.next() for _ in range(n)}


def redrawn(
    model: "keras.Model",
    values: list[npt.NDArray[Any]],
    reseeded: Mapping[int, int],
    keep: Keep = lambda _, draw: draw(),
) -> list[npt.NDArray[Any]]:
    """The initial values that other seeds give a network's variables, without building it again.

    Building costs some 10 ms a layer, ten times what drawing the weights of these small networks does.

    Args:
        model: whose layers have seeds of kernel initializers or of dropout.
        values: its variables' initial values, from which is taken what no seed decides.
        reseeded: for each of the layers' seeds, the one to draw with.
        keep: of weights that were drawn before: many networks have the same first layer, and most weights there.

    Returns:
        Arrays not to be written to: they may be those of ``values``, or kept.
    """
    import keras

    drawn = {}
    for layer in model.layers:
        initializer: Any = getattr(layer, "kernel_initializer", None)
        generator: Any = getattr(layer, "seed_generator", None)
        if getattr(initializer, "seed", None) is not None:
            kind, shape, dtype = type(initializer), tuple(layer.kernel.shape), layer.kernel.dtype
            config = {**initializer.get_config(), "seed": reseeded[initializer.seed]}
            name = ("weights", kind.__name__, json.dumps(config, sort_keys=True), shape, dtype)
            drawn[id(layer.kernel)] = keep(name, partial(_weights, kind, config, shape, dtype))
        if generator is not None:
            drawn[id(generator.state)] = to_numpy(keras.random.SeedGenerator(reseeded[layer.seed]).state)
    return [drawn.get(id(variable), value) for variable, value in zip(model.variables, values, strict=True)]


def _weights(kind: Any, config: dict[str, Any], shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """What an initializer draws."""
    return to_numpy(kind.from_config(config)(shape, dtype=dtype))


def to_numpy(variable: Any) -> npt.NDArray[Any]:
    """A copy of a variable's numbers: on CPUs the backend may hand out its own memory, which a step overwrites."""
    import keras

    return np.array(keras.ops.convert_to_numpy(variable))
