"""A compiled network, in which the folds of all configurations of one structure take turns."""

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aio_tune.models import Seeds, last_hidden, to_numpy
from aio_tune.training.backend import fused_kernels
from aio_tune.training.settings import TrainingParams

if TYPE_CHECKING:
    import keras

SEED = 0
"""With which every network is built; its folds' seeds are drawn anew."""


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
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
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

    @property
    def nbytes(self) -> int:
        """Bytes of its variables."""
        return sum(4 * math.prod(variable.shape) for variable in self.variables)


def structure(
    bare: "keras.Model", settings: TrainingParams, auxiliary: Sequence[int]
) -> tuple[str | None, list[float]]:
    """What configurations have in common that take turns in one ``Traced``, None if each needs its own.

    And what its dials are to be set to for this one.
    """
    fused = fused_kernels()
    if fused is None:
        return None, []
    # What else the loss is made of; of rows and weights it is a function.
    loss = (settings.label_smoothing, settings.auxiliary_weight if auxiliary else None, *auxiliary)
    alike, numbers = fused.structure(bare, settings.make_optimizer())
    return json.dumps([alike, *loss]), numbers


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
