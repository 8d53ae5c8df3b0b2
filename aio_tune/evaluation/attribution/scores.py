"""What is explained: the log-odds of a class, log(p / (1 - p)), taken before the softmax.

Probabilities are flat where a network is sure, and their gradients vanish there; log-odds are not. Single logits, on
the other hand, mean nothing by themselves: a softmax stays the same if all of them rise together. Of two classes the
log-odds are the difference of the two logits, of more a class's logit less log-sum-exp of the others.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from aio_tune.evaluation.attribution.backend import Floats

if TYPE_CHECKING:
    import keras

PIXELS_AT_ONCE = 1 << 20
"""Pixels of one batch: 64 pictures of 128 x 128. Gradients hold every layer's output of a batch in memory."""
PICTURES_AT_ONCE = 256

Score = Callable[[Any], Any]
"""Tensor of pictures (n, *shape) -> tensor of log-odds (n, n_classes)."""


def before_softmax(model: "keras.Model") -> tuple[Any, Score]:
    """Where the network's last softmax can be left out.

    Returns:
        A tensor of the network, and what turns values of it (n, ...) into log-odds (n, n_classes).
    """
    import keras

    last = model.layers[-1]
    output = model.outputs[0]
    if not (isinstance(last, keras.layers.Dense) and last.activation is keras.activations.softmax):
        return output, lambda p: log_odds(keras.ops.log(keras.ops.clip(p, 1e-7, 1.0)))

    def finish(features: Any) -> Any:
        logits = keras.ops.matmul(features, last.kernel)
        return log_odds(logits + last.bias if last.use_bias else logits)

    return last.input, finish


def score_of(model: "keras.Model") -> Score:
    """The log-odds of every class as a function of pictures, dropout off."""
    import keras

    tensor, finish = before_softmax(model)
    below = keras.Model(model.inputs[0], tensor)
    return lambda pictures: finish(below(pictures, training=False))


def log_odds(logits: Any) -> Any:
    """Log-odds of each class against all others, tensor (n, n_classes), of logits or log-probabilities."""
    from keras import ops

    n = logits.shape[1]
    others = [ops.stack([logits[:, k] for k in range(n) if k != c], axis=1) for c in range(n)]
    return ops.stack([logits[:, c] - ops.logsumexp(others[c], axis=1) for c in range(n)], axis=1)


def values_of(score: Score, pictures: Floats) -> Floats:
    """Log-odds of pictures, float32, shape (n, n_classes), in batches."""
    import keras

    found = [np.asarray(keras.ops.convert_to_numpy(score(pictures[rows])), np.float32) for rows in batches(pictures)]
    return np.concatenate(found)


def batches(pictures: Floats) -> Iterator[slice]:
    """Rows that go through a network at a time."""
    size = batch_size(pictures.shape[1:])
    return (slice(start, start + size) for start in range(0, len(pictures), size))


def batch_size(shape: tuple[int, ...]) -> int:
    """How many pictures of a shape go through a network at a time, at least 1."""
    return max(1, min(PICTURES_AT_ONCE, PIXELS_AT_ONCE // int(np.prod(shape))))
