"""K folds of one configuration: our lockstep beside bare Keras, `python -m benchmarks.lockstep`.

The default network on 340 profiles of 16,384 genes drawn as 64 x 64 x 4, 5 folds, 3 epochs, the validation fold
predicted after every epoch, both sides with the same threads. One turn is all of it, the building and tracing of
networks included. Both fit the same preprocessing for each fold. Sides:

    ours          train_lockstep, as a fold's worker calls it
    keras fit     for each fold a new network from the same function, Keras' own Adam, `fit` with validation data
"""

import argparse
import os
import sys
from typing import Any

import numpy as np

from benchmarks.default_network import CLASSES, SHAPE
from benchmarks.step import free_input_pipeline
from benchmarks.turns import answer_turns, ratios, sides, spread, take_turns, write

ROWS, FOLDS, EPOCHS, BATCH = 340, 5, 3, 32
NAMES = ("ours", "keras fit")
PARAMS = {"batch_size": BATCH, "layout": "stacked"}


def work_of(name: str, threads: int) -> Any:
    """A function that does one turn of a side."""
    from aio_tune.training import FoldSpec, configure_backend

    configure_backend(threads)
    if name == "keras fit":
        free_input_pipeline()
    random = np.random.default_rng(0)
    x = random.gamma(2.0, 2.0, (ROWS, int(np.prod(SHAPE)))).astype(np.float32)
    y = random.integers(CLASSES, size=ROWS).astype(np.int8)
    at = np.arange(ROWS)
    specs = [FoldSpec(k, np.flatnonzero(at % FOLDS != k), np.flatnonzero(at % FOLDS == k)) for k in range(FOLDS)]
    train = {"ours": _ours, "keras fit": _keras_fit}[name]

    import keras

    def turn() -> None:
        keras.backend.clear_session()
        train(x, y, specs)

    turn()
    return turn


def _ours(x: Any, y: Any, specs: Any) -> None:
    from aio_tune.training import FoldTrainer, train_lockstep

    trainers: list[FoldTrainer] = []
    for spec in specs:
        program = trainers[0].program if trainers else None
        trainers.append(FoldTrainer(PARAMS, x, y, spec, [*map(str, range(CLASSES))], seed=0, program=program))
    assert trainers[0].program.input_shape == SHAPE
    train_lockstep(trainers, EPOCHS)


def _keras_fit(x: Any, y: Any, specs: Any) -> None:
    import keras

    from aio_tune.expression import Rows
    from aio_tune.models import build
    from aio_tune.preprocess import Preprocessor
    from aio_tune.training.settings import split_params

    settings, _ = split_params(PARAMS)
    targets = np.eye(CLASSES, dtype=np.float32)[y]
    for spec in specs:
        preprocessor = Preprocessor.fit(settings.scaling, settings.layout, Rows(x, spec.train), 0)
        images, held_out = (preprocessor.transform(x[rows]) for rows in (spec.train, spec.valid))
        model = build({}, SHAPE, CLASSES, spec.fold)
        model.compile(optimizer=keras.optimizers.Adam(3e-4), loss="categorical_crossentropy", jit_compile=False)
        model.fit(
            images, targets[spec.train], batch_size=BATCH, epochs=EPOCHS, verbose=0,
            validation_data=(held_out, targets[spec.valid]),
        )  # fmt: skip


def main() -> None:
    """Print the seconds of a turn and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=NAMES)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.side:
        answer_turns(work_of(arguments.side, arguments.threads))
        return
    command = [sys.executable, "-m", "benchmarks.lockstep", "--threads", str(arguments.threads), "--side"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with sides({name: [*command, name] for name in NAMES}, environment) as started:
        seconds = take_turns(started)
    ratio = ratios(seconds["keras fit"], seconds["ours"])
    print(f"{FOLDS} folds x {EPOCHS} epochs, {ROWS} profiles as {SHAPE} pictures, {arguments.threads} threads")
    for name in NAMES:
        print(f"{name:<12}{spread(seconds[name], 1):>24} s")
    print(f"speed, ours / keras fit: {spread(ratio)}")
    write(__file__, {"threads": arguments.threads, "seconds": seconds, "ratio": ratio})


if __name__ == "__main__":
    main()
