"""Folds of one structure as one program: every variable with a leading axis of folds.

One small network leaves most of a GPU idle, and a step's launch costs as much as its work. Here one launch trains a
whole epoch of all folds: Keras' own training step, made stateless, is mapped over the folds (``vectorized_map``) and
repeated over the batches (``scan``). Each fold keeps its own weights, averages, random states and optimizer slots, and
sees its own batches, so it learns what it would learn alone, within rounding. For Keras' JAX backend, whose training
step is a function of its state.

Whatever a step reads from a fold's state or data may differ between folds of one program: learning rate, class weights,
pictures. So folds of several configurations of one structure are trained together, and a later configuration uses what
was compiled for an earlier one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.expression import Floats, Rows
from aio_tune.training.backend import compiled
from aio_tune.training.program import PREDICT_BYTES, Program, State


@dataclass(frozen=True)
class Pictures:
    """Pictures of all folds.

    Attributes:
        of_folds: of each fold, as they came.
        kept: all of them on the device, shape (folds, rows of the longest, *picture), or None if they are too many.
    """

    of_folds: Sequence[Rows | Floats]
    kept: Any


class StackedProgram:
    """Folds of programs of one structure, trained as one.

    Args:
        program: of any of them; its own variables are neither read nor written.
        states: of each fold.
    """

    def __init__(self, program: Program, states: Sequence[State]) -> None:
        from keras import ops

        self._input_shape = program.input_shape
        self._epoch, self._predict = program.traced.stacked_epoch, program.traced.stacked_predict
        self._folds = len(states)
        self._state = [ops.convert_to_tensor(np.stack(parts)) for parts in zip(*states, strict=True)]

    def pictures(self, of_folds: Sequence[Rows | Floats]) -> Pictures:
        """Put pictures on the device, unless one fold's are too many to be kept."""
        from keras import ops

        if any(isinstance(one, Rows) for one in of_folds):
            return Pictures(of_folds, None)
        return Pictures(of_folds, ops.convert_to_tensor(_padded([np.asarray(one) for one in of_folds])))

    def answers(self, of_folds: Sequence[tuple[list[Floats], list[Floats]]]) -> tuple[list[Any], list[Any]]:
        """What ``FoldTrainer.answers`` gives for each fold -> the same, shape (folds, rows, ...)."""
        targets = zip(*(targets for targets, _ in of_folds), strict=True)
        weights = zip(*(weights for _, weights in of_folds), strict=True)
        return [_padded(one) for one in targets], [_padded(one) for one in weights]

    def train_epoch(
        self, pictures: Pictures, answers: tuple[list[Any], list[Any]], orders: npt.NDArray[np.intp]
    ) -> Any:
        """One epoch of all folds.

        Args:
            pictures: of the training rows.
            answers: as ``answers`` gives them.
            orders: row indices, shape (folds, batches, rows of a batch).

        Returns:
            The mean loss of each fold's batches, shape (folds,), on the device: reading it waits for the epoch, which
            is not cut short where a loss is not finite.
        """
        if pictures.kept is not None:
            self._state, losses = self._epoch(self._state, pictures.kept, *answers, orders.astype(np.int32))
            return losses
        done: list[Any] = []
        one = np.broadcast_to(np.arange(orders.shape[2], dtype=np.int32), (self._folds, 1, orders.shape[2]))
        for rows in np.swapaxes(orders, 0, 1):
            drawn = np.stack([fold[chosen] for fold, chosen in zip(pictures.of_folds, rows, strict=True)])
            chosen_answers = [[_rows(part, rows) for part in parts] for parts in answers]
            self._state, losses = self._epoch(self._state, drawn, *chosen_answers, one)
            done.append(losses)
            if len(done) > 1:
                np.asarray(done[-2])  # waits, so that no more than two batches' pictures are on the device
        return sum(done) / len(done)

    def predict(self, pictures: Pictures) -> list[Floats]:
        """Each fold's probabilities of its pictures, shape (n, n_classes)."""
        lengths = [len(fold) for fold in pictures.of_folds]
        longest, size = max(lengths), 4 * math.prod(self._input_shape) * self._folds
        step = min(longest, max(1, 16 * PREDICT_BYTES // size))
        parts = []
        for start in range(0, longest, step):
            # The last ones go over rows of those before: another number of rows would be compiled anew.
            first = min(start, longest - step)
            drawn = self._drawn(pictures, first, first + step)
            parts.append(np.asarray(self._predict(self._state, drawn))[:, start - first :])
        whole = np.concatenate(parts, axis=1)
        return [np.ascontiguousarray(fold[:length]) for fold, length in zip(whole, lengths, strict=True)]

    def _drawn(self, pictures: Pictures, first: int, end: int) -> Any:
        """Some rows of each fold, the shorter folds ended by zeros, shape (folds, end - first, *picture)."""
        if pictures.kept is None:
            return _padded([np.asarray(fold[first:end]) for fold in pictures.of_folds], end - first)
        return pictures.kept[:, first:end]

    def states(self) -> list[State]:
        """Each fold's state, as ``Program.load`` takes it."""
        whole = [np.asarray(part) for part in self._state]
        return [[np.array(part[fold]) for part in whole] for fold in range(self._folds)]


def stacked_epoch(model: Any, places: Sequence[Sequence[int]]) -> Any:
    """The function that trains one epoch of all folds, compiled.

    Args:
        model: compiled; its own variables are neither read nor written.
        places: where a fold's state holds trainable variables, other ones, and the optimizer's.
    """
    from keras import ops

    fresh = [ops.zeros(variable.shape, variable.dtype) for variable in model.metrics_variables]

    def of_one_fold(elements: Any) -> Any:
        state, images, targets, weights, order = elements

        def step(carry: Any, rows: Any) -> Any:
            y, w = ([ops.take(part, rows, axis=0) for part in parts] for parts in (targets, weights))
            data = (
                (ops.take(images, rows, axis=0), y, w) if len(y) > 1 else (ops.take(images, rows, axis=0), y[0], w[0])
            )
            # Metrics begin anew with each batch, so this is the loss of this batch alone.
            logs, new = model.train_step((*carry, fresh), data)
            return tuple(list(part) for part in new[:3]), logs["loss"]

        carry = tuple([state[place] for place in kind] for kind in places)
        carry, losses = ops.scan(step, carry, order)
        new = list(state)
        for kind, values in zip(places, carry, strict=True):
            for place, value in zip(kind, values, strict=True):
                new[place] = value
        return new, ops.mean(losses)

    def epoch(state: Any, images: Any, targets: Any, weights: Any, order: Any) -> Any:
        return ops.vectorized_map(of_one_fold, (state, images, targets, weights, order))

    return compiled(epoch)


def stacked_predict(model: Any, places: Sequence[Sequence[int]]) -> Any:
    """The function that predicts with all folds, compiled; ``places`` of trainable variables and other ones."""
    from keras import ops

    def of_one_fold(elements: Any) -> Any:
        state, images = elements
        trainable, others = ([state[place] for place in kind] for kind in places)
        return model.stateless_call(trainable, others, images, training=False)[0]

    def predict(state: Any, images: Any) -> Any:
        return ops.vectorized_map(of_one_fold, (state, images))

    return compiled(predict)


def _padded(of_folds: Sequence[npt.NDArray[Any]], rows: int = 0) -> npt.NDArray[Any]:
    """As one array of ``rows`` or as many as the longest has, the shorter ones ended by zeros that nothing reads."""
    rows = rows or max(len(one) for one in of_folds)
    whole = np.zeros((len(of_folds), rows, *of_folds[0].shape[1:]), of_folds[0].dtype)
    for place, one in zip(whole, of_folds, strict=True):
        place[: len(one)] = one
    return whole


def _rows(part: npt.NDArray[Any], rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Some rows of each fold, shape (folds, rows of a batch, ...)."""
    return np.stack([fold[chosen] for fold, chosen in zip(part, rows, strict=True)])
