"""A configuration's network, in which its folds take turns.

K folds of a configuration are the same program with other numbers. Building and tracing a network costs seconds, and
swapping its variables costs milliseconds; so there is one network, and each fold owns a list of arrays: weights,
batch-norm averages, the random states of dropout and the optimizer's slots. That list is also the fold's checkpoint,
and nothing a training step depends on is outside it and the configuration, so a restored fold goes on exactly where it
stopped. Configurations that differ in numbers alone which a step reads from variables are the same program too: the
learning rate, and with TensorFlow rates of dropout, penalties and the like. A later one takes over what an earlier one
has traced.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.expression import Floats, Rows
from aio_tune.models import build, redrawn, reseeding, to_numpy
from aio_tune.training.backend import apart
from aio_tune.training.model_file import ModelFile
from aio_tune.training.settings import configuration, split_params
from aio_tune.training.shelf import Shelf
from aio_tune.training.traced import SEED, Traced, structure, with_heads

State = list[npt.NDArray[Any]]
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
        shelf: of networks that earlier configurations have traced; None traces anew.

    Attributes:
        settings: of the training.
        configuration: all parameters, defaults filled in, as JSON values.
        structure: what it has in common with configurations that differ in numbers alone.
        traced: the network, which other configurations on the same shelf may have their turns in.
        parameters: number of the network's weights.

    Raises:
        TrialError: a parameter is unknown or out of range, or the network cannot be built.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        input_shape: tuple[int, ...],
        n_classes: int,
        auxiliary: Sequence[int] = (),
        shelf: Shelf | None = None,
    ) -> None:
        self.settings, self._network = split_params(params)
        self.input_shape = input_shape
        self.n_classes = n_classes
        self.configuration = configuration(params)
        self.auxiliary = tuple(auxiliary) if self.settings.auxiliary_weight else ()
        self._shelf = Shelf() if shelf is None else shelf
        self._file: ModelFile | None = None
        apart(self._build)
        self.parameters = int(self._bare.count_params())

    def _build(self) -> None:
        # As anybody's Keras reads it: to draw initial weights for, and to be saved.
        self._bare = build(self._network.model_dump(), self.input_shape, self.n_classes, SEED)
        self._template = with_heads(self._bare, self.auxiliary)
        self._blank = [to_numpy(variable) for variable in self._template.variables]
        parts = (self._bare, self.settings, self.auxiliary)
        self.structure, self._numbers = structure(*parts)
        # An earlier configuration's, if that differs in numbers alone.
        self.traced = self._shelf.get(self.structure, lambda: Traced(*parts))

    def initial_state(self, seed: int) -> State:
        """A fold's state before its first step; of arrays that others may begin with too."""
        n = len(self.auxiliary)
        reseeded = reseeding(SEED, seed, len(self._bare.layers)) | reseeding([SEED, n], [seed, n], n)
        return [*redrawn(self._template, self._blank, reseeded, self._shelf.get), *self._blank_optimizer()]

    def _blank_optimizer(self) -> State:
        """The optimizer's variables before the first step, one of which is the learning rate."""
        optimizer = self.traced.model.optimizer
        return [
            np.array(self.settings.learning_rate, np.float32) if variable is optimizer.learning_rate else value
            for variable, value in zip(optimizer.variables, self.traced.blank, strict=True)
        ]

    def load(self, state: State) -> None:
        """Give the network a fold's state, and this configuration's numbers."""
        self.traced.assign(state)
        for dial, number in zip(self.traced.dials, self._numbers, strict=True):
            dial.assign(number)

    def unload(self) -> State:
        """The network's present state."""
        return self.traced.values()

    def ready(self, images: Rows | Floats) -> Any:
        """The images as ``train_epoch`` and ``predict`` take them without copying them; ``Rows`` stay as they are."""
        import keras

        return keras.ops.convert_to_tensor(images) if self.traced.epoch and isinstance(images, np.ndarray) else images

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
            targets: shares of the classes, shape (n, n_classes), of the task and then of each auxiliary one.
            weights: of each row in the loss of each, shape (n,); 0 where the label is missing.
            order: row indices.

        Returns:
            The mean loss of the batches, penalties included; not finite as soon as it is in one of them.
        """
        batches, size = self.batches(len(order))
        order = order[: batches * size].reshape(batches, size)
        if self.traced.epoch is not None and not isinstance(images, Rows):
            return sum(self.traced.epoch(images, list(targets), list(weights), order).numpy().tolist()) / batches
        total = 0.0
        for rows in order:
            y, w = [target[rows] for target in targets], [weight[rows] for weight in weights]
            total += self._train_batch(images[rows], y, w)
            if not math.isfinite(total):
                break
        return total / batches

    def _train_batch(self, images: Floats, targets: list[Floats], weights: list[Floats]) -> float:
        """One step; its loss."""
        if self.traced.epoch is not None:
            return float(self.traced.epoch(images, targets, weights, np.arange(len(images))[np.newaxis])[0])
        # Keras' metrics are reset by each call, so this is the loss of this batch alone.
        if not self.auxiliary:
            return float(self.traced.model.train_on_batch(images, targets[0], sample_weight=weights[0]))
        # The sum comes first, then each task's own.
        return float(self.traced.model.train_on_batch(images, targets, sample_weight=weights)[0])

    def batches(self, rows: int) -> tuple[int, int]:
        """How many batches an epoch of so many rows has, and how many rows each of them has."""
        batches = max(1, round(rows / self.settings.batch_size))
        if rows // batches < 2:  # of one row batch normalisation makes the same for everybody
            batches = max(1, rows // 2)
        return batches, rows // batches

    def predict(self, images: Any) -> npt.NDArray[np.float32]:
        """Probabilities, float32, shape (n, n_classes), of images as for ``train_epoch``."""
        step = min(PREDICT_ROWS, max(1, PREDICT_BYTES // (4 * math.prod(self.input_shape))))
        if len(images) <= step and not isinstance(images, Rows):
            return np.asarray(self.traced.answer(images), dtype=np.float32)
        parts = [
            np.asarray(self.traced.answer(images[start : start + step]), dtype=np.float32)
            for start in range(0, len(images), step)
        ]
        return np.concatenate(parts)

    def save_model(self, state: State, path: Path) -> None:
        """Write the network with a fold's weights as a ``.keras`` file, without the optimizer."""
        if self._file is None:
            self._file = ModelFile(self._bare, path)
        (places,) = self.traced.places([self.traced.plain.variables])
        self._file.write([state[place] for place in places], path)
