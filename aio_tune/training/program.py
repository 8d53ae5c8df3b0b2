"""One compiled network that all folds of a configuration take turns in.

K folds of a configuration are the same program with other numbers. Building and tracing a network costs seconds, and
swapping its variables costs milliseconds; so there is one network, and each fold owns a list of arrays: weights,
batch-norm averages, the random states of dropout and the optimizer's slots. That list is also the fold's checkpoint,
and nothing a training step depends on is outside it, so a restored fold goes on exactly where it stopped.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.expression import Floats, Rows
from aio_tune.models import Seeds, build, last_hidden, redrawn, reseeding, to_numpy
from aio_tune.training.backend import fused_kernels
from aio_tune.training.settings import configuration, split_params

if TYPE_CHECKING:
    import keras

State = list[npt.NDArray[Any]]
SEED = 0
"""With which a configuration's network is built; its folds' seeds are drawn anew."""
PREDICT_ROWS = 256
PREDICT_BYTES = 4 * 2**20
"""Pictures predicted at once: fewer rows where pictures are large, so that a worker needs little memory for it."""


class Program:
    """A compiled network and whose turn it is.

    Args:
        params: the whole configuration.
        input_shape: of one picture.
        n_classes: at least two.
        auxiliary: classes of each further task whose calls are learnt along, from the same last hidden layer, if the
            configuration gives them any weight. What is predicted with and saved is without them.

    Attributes:
        configuration: all parameters, defaults filled in, as JSON values.
        parameters: number of the network's weights.

    Raises:
        TrialError: a parameter is unknown or out of range, or the network cannot be built.
    """

    def __init__(
        self, params: Mapping[str, Any], input_shape: tuple[int, ...], n_classes: int, auxiliary: Sequence[int] = ()
    ) -> None:
        import keras

        self.settings, self._network = split_params(params)
        self.input_shape = input_shape
        self.n_classes = n_classes
        self.configuration = configuration(params)
        self.auxiliary = tuple(auxiliary) if self.settings.auxiliary_weight else ()
        fused, optimizer = fused_kernels(), self.settings.make_optimizer()
        # As anybody's Keras reads it: to draw initial weights for, and to be saved.
        self._bare = build(self._network.model_dump(), input_shape, n_classes, SEED)
        self._template = self._with_auxiliary(self._bare)
        self._blank = [to_numpy(variable) for variable in self._template.variables]
        self._plain: keras.Model = (fused.with_fused_layers if fused else keras.models.clone_model)(self._bare)
        self._model: keras.Model = self._with_auxiliary(self._plain)
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=self.settings.label_smoothing)
        self._model.compile(
            optimizer=fused.with_fused_update(optimizer) if fused else optimizer,
            loss=[loss] * (1 + len(self.auxiliary)) if self.auxiliary else loss,
            loss_weights=[1.0] + [self.settings.auxiliary_weight] * len(self.auxiliary) if self.auxiliary else None,
            # XLA on CPUs took 40 s to compile this network and made TensorFlow's steps slower; JAX needs it.
            jit_compile=keras.backend.backend() != "tensorflow",
        )
        self._model.optimizer.build(self._model.trainable_variables)
        self._epoch = fused.epoch_function(self._model) if fused else None
        self._answer = fused.predict_function(self._plain) if fused else self._plain.predict_on_batch
        self._blank_optimizer = [to_numpy(variable) for variable in self._model.optimizer.variables]
        self.parameters = int(self._plain.count_params())

    def initial_state(self, seed: int) -> State:
        """A fold's state before its first step."""
        n = len(self.auxiliary)
        reseeded = reseeding(SEED, seed, len(self._bare.layers)) | reseeding([SEED, n], [seed, n], n)
        return [*redrawn(self._template, self._blank, reseeded), *(a.copy() for a in self._blank_optimizer)]

    def load(self, state: State) -> None:
        """Give the network a fold's state."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def unload(self) -> State:
        """The network's present state."""
        return [to_numpy(variable) for variable in self._variables()]

    def ready(self, images: Rows | Floats) -> Any:
        """The images as ``train_epoch`` takes them without copying them each time; what is no array stays as it is."""
        import keras

        return keras.ops.convert_to_tensor(images) if self._epoch and isinstance(images, np.ndarray) else images

    def train_epoch(
        self,
        images: Any,
        targets: Sequence[npt.NDArray[np.float32]],
        weights: Sequence[npt.NDArray[np.float32]],
        order: npt.NDArray[np.intp],
    ) -> float:
        """One pass over the rows in ``order``, at once ended by a loss that is not finite.

        Batches are of one size, as close to ``batch_size`` as their number allows, and the rows left over at the end
        of ``order``, fewer than there are batches, sit this epoch out: a second size would be traced as a second
        program, which takes seconds and memory that TensorFlow never gives back.

        Args:
            images: ``Rows`` or an array, shape (n, *input_shape), best as ``ready`` makes them; ``Rows`` are read batch
                by batch.
            targets: one-hot classes, shape (n, n_classes), of the task and then of each auxiliary one.
            weights: of each row in the loss of each, shape (n,); 0 where the label is missing.
            order: row indices.

        Returns:
            The mean loss of the batches, penalties included; not finite as soon as it is in one of them.
        """
        batches, size = self.batches(len(order))
        order = order[: batches * size].reshape(batches, size)
        if self._epoch is not None and not isinstance(images, Rows):
            return sum(self._epoch(images, list(targets), list(weights), order).numpy().tolist()) / batches
        total = 0.0
        for rows in order:
            y, w = [target[rows] for target in targets], [weight[rows] for weight in weights]
            total += self._train_batch(images[rows], y, w)
            if not math.isfinite(total):
                break
        return total / batches

    def _train_batch(self, images: Floats, targets: list[Floats], weights: list[Floats]) -> float:
        """One step; its loss."""
        if self._epoch is not None:
            return float(self._epoch(images, targets, weights, np.arange(len(images))[np.newaxis])[0])
        # Keras' metrics are reset by each call, so this is the loss of this batch alone.
        if not self.auxiliary:
            return float(self._model.train_on_batch(images, targets[0], sample_weight=weights[0]))
        # The sum comes first, then each task's own.
        return float(self._model.train_on_batch(images, targets, sample_weight=weights)[0])

    def batches(self, rows: int) -> tuple[int, int]:
        """How many batches an epoch of so many rows has, and how many rows each of them has."""
        batches = max(1, round(rows / self.settings.batch_size))
        if rows // batches < 2:  # of one row batch normalisation makes the same for everybody
            batches = max(1, rows // 2)
        return batches, rows // batches

    def predict(self, images: Rows | Floats) -> npt.NDArray[np.float32]:
        """Probabilities, float32, shape (n, n_classes)."""
        step = min(PREDICT_ROWS, max(1, PREDICT_BYTES // (4 * math.prod(self.input_shape))))
        parts = [
            np.asarray(self._answer(images[start : start + step]), dtype=np.float32)
            for start in range(0, len(images), step)
        ]
        return np.concatenate(parts)

    @cached_property
    def stacked_epoch(self) -> Any:
        """As ``aio_tune.training.stacked.stacked_epoch``; traced once for all rungs of the configuration."""
        from aio_tune.training.stacked import stacked_epoch

        place = {id(variable): i for i, variable in enumerate(self._variables())}
        kinds = (self._model.trainable_variables, self._model.non_trainable_variables, self._model.optimizer.variables)
        return stacked_epoch(self._model, [[place[id(variable)] for variable in kind] for kind in kinds])

    @cached_property
    def stacked_predict(self) -> Any:
        """As ``aio_tune.training.stacked.stacked_predict``."""
        from aio_tune.training.stacked import stacked_predict

        place = {id(variable): i for i, variable in enumerate(self._variables())}
        kinds = (self._plain.trainable_variables, self._plain.non_trainable_variables)
        return stacked_predict(self._plain, [[place[id(variable)] for variable in kind] for kind in kinds])

    def save_model(self, state: State, path: Path) -> None:
        """Write the network with a fold's weights as a ``.keras`` file, without the optimizer."""
        place = {id(variable): i for i, variable in enumerate(self._model.variables)}
        for variable, mine in zip(self._bare.variables, self._plain.variables, strict=True):
            variable.assign(state[place[id(mine)]])
        self._bare.save(path)

    def _with_auxiliary(self, plain: "keras.Model") -> "keras.Model":
        """The network with one more softmax for each auxiliary task; itself if there is none."""
        import keras

        if not self.auxiliary:
            return plain
        hidden, seeds = last_hidden(plain), Seeds([SEED, len(self.auxiliary)])
        heads = [
            keras.layers.Dense(n, activation="softmax", kernel_initializer=seeds.he(), name=f"also{i}")(hidden)
            for i, n in enumerate(self.auxiliary, start=1)
        ]
        return keras.Model(plain.input, [plain.output, *heads], name=plain.name)

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]
