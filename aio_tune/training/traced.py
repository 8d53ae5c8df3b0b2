"""A compiled network, in which the folds of all configurations of one structure take turns."""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from aio_tune.models import Seeds, last_hidden, to_numpy
from aio_tune.training.backend import can_stack, fused_kernels
from aio_tune.training.settings import TrainingParams

if TYPE_CHECKING:
    import keras

SEED = 0
"""With which every network is built; its folds' seeds are drawn anew."""
COMPILED = 24 * 2**20
"""Bytes of a network's functions that JAX has compiled: 20 networks of two branches at 64 x 64 grew a process by 25 MiB
each, on a CPU."""
GRAPHS = 8 * 2**20
"""Bytes of a network's functions that TensorFlow has traced, beside twice its weights: 5 to 8 MiB were seen. It does
not give them back, so that of a network which is not kept any more they are a worker's wear."""


class Traced:
    """A compiled network; TensorFlow traces it when it is first used.

    Args:
        bare: as anybody's Keras reads it, without auxiliary heads; it stays as it is.
        settings: of the training.
        auxiliary: classes of each further task that is learnt along.

    Attributes:
        plain: the network without auxiliary heads.
        model: compiled, with them; of the same weights.
        epoch: as ``fused.epoch_function``; None with another backend than TensorFlow.
        answer: probabilities of pictures.
        blank: the optimizer's variables before the first step.
        dials: variables of the numbers in which configurations of one structure differ.
    """

    def __init__(self, bare: "keras.Model", settings: TrainingParams, auxiliary: Sequence[int]) -> None:
        import keras

        fused, optimizer = fused_kernels(), settings.make_optimizer()
        self.plain: keras.Model = (fused.with_fused_layers if fused else keras.models.clone_model)(bare)
        self.model: keras.Model = with_heads(self.plain, auxiliary)
        loss = keras.losses.CategoricalCrossentropy()
        self.model.compile(
            optimizer=fused.with_fused_update(optimizer) if fused else optimizer,
            loss=[loss] * (1 + len(auxiliary)) if auxiliary else loss,
            loss_weights=[1.0] + [settings.auxiliary_weight] * len(auxiliary) if auxiliary else None,
            # XLA on CPUs took 40 s to compile this network and made TensorFlow's steps slower; JAX needs it.
            jit_compile=keras.backend.backend() != "tensorflow",
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.dials = fused.dials(self.plain, self.model.optimizer) if fused else []
        self.epoch = fused.epoch_function(self.model) if fused else None
        self.answer = fused.predict_function(self.plain) if fused else self.plain.predict_on_batch
        self.blank = [to_numpy(variable) for variable in self.model.optimizer.variables]

    @property
    def variables(self) -> list[Any]:
        """Whatever a step depends on and changes: weights, averages, random states, the optimizer's."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def assign(self, values: Sequence[npt.NDArray[Any]]) -> None:
        """Give ``variables`` these values."""
        fused = fused_kernels()
        if fused:
            fused.write_values(self.variables, values)
            return
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def values(self) -> list[npt.NDArray[Any]]:
        """Copies of the values of ``variables``."""
        fused = fused_kernels()
        return list(fused.read_values(self.variables)) if fused else [to_numpy(one) for one in self.variables]

    @cached_property
    def stacked_epoch(self) -> Any:
        """As ``aio_tune.training.stacked.stacked_epoch``."""
        from aio_tune.training.stacked import stacked_epoch

        model = self.model
        kinds = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
        return stacked_epoch(model, self.places(kinds))

    @cached_property
    def stacked_predict(self) -> Any:
        """As ``aio_tune.training.stacked.stacked_predict``."""
        from aio_tune.training.stacked import stacked_predict

        kinds = (self.plain.trainable_variables, self.plain.non_trainable_variables)
        return stacked_predict(self.plain, self.places(kinds))

    def places(self, kinds: Sequence[Sequence[Any]]) -> list[list[int]]:
        """Where ``variables`` has those of each kind."""
        place = {id(variable): i for i, variable in enumerate(self.variables)}
        return [[place[id(variable)] for variable in kind] for kind in kinds]

    @property
    def nbytes(self) -> int:
        """Bytes that a process holds for it: of its variables, and of what was compiled or traced."""
        weights, own = (sum(4 * math.prod(one.shape) for one in of) for of in (self.model.variables, self.variables))
        return own + (COMPILED if can_stack() else GRAPHS + 2 * weights)


def structure(bare: "keras.Model", settings: TrainingParams, auxiliary: Sequence[int]) -> tuple[str, list[float]]:
    """What configurations have in common that can take turns in one ``Traced``, whose steps have it as constants.

    And what its dials are to be set to for this one.
    """
    fused, optimizer = fused_kernels(), settings.make_optimizer()
    network, update = bare.get_config(), optimizer.get_config()
    numbers = fused.take_out(bare, optimizer, network, update) if fused else []
    update["learning_rate"] = "a variable of every optimizer"
    # What else the loss is made of; of targets and weights it is a function.
    loss = (settings.auxiliary_weight if auxiliary else None, *auxiliary)
    return json.dumps([network, type(optimizer).__name__, update, loss], sort_keys=True), numbers


def with_heads(plain: "keras.Model", auxiliary: Sequence[int]) -> "keras.Model":
    """The network with one more softmax for each auxiliary task; itself if there is none."""
    import keras

    if not auxiliary:
        return plain
    hidden, seeds = last_hidden(plain), Seeds([SEED, len(auxiliary)])
    heads = [
        keras.layers.Dense(n, activation="softmax", kernel_initializer=seeds.he(), name=f"also{i}")(hidden)
        for i, n in enumerate(auxiliary, start=1)
    ]
    return keras.Model(plain.input, [plain.output, *heads], name=plain.name)
