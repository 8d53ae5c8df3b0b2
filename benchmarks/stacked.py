"""Folds stacked as one program beside Keras' `fit`: `KERAS_BACKEND=jax python -m benchmarks.stacked`.

For a machine with a GPU. Needs jax (with CUDA: jax[cuda12]), keras, numpy and pydantic, and what these bring; neither
TensorFlow nor Ray, MLflow, Optuna or scikit-learn.

The default network (benchmarks.default_network) on 544 pictures of 64 x 64 x 4 per fold in batches of 32. A turn is
some epochs of training, without validation, after all is compiled and warm; each side has a process of its own, and
they take turns. Sides:

    5 stacked           StackedProgram.train_epoch of 5 folds, as train_lockstep calls it; pictures stay on the device
    20 stacked          the same of 5 folds of each of 4 configurations that differ in their learning rate
    fit, NumPy          `fit` of one network after the other, of pictures in the machine's memory
    fit, device arrays  the same of pictures that are on the device already

`fit` has jit_compile=True and as many steps per execution as an epoch has, and writes nothing. It trains one network
again and again, since others of the same shape would only be compiled once more. The ratio is to the faster `fit`.
"""

import argparse
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.default_network import CLASSES, SHAPE, pictures
from benchmarks.turns import REPETITIONS, answer_turns, ratios, sides, spread, take_turns, write

FOLDS = 5
RATES = (3e-4, 1e-3, 1e-4, 3e-5)
STACKS = {"5 stacked": RATES[:1], "20 stacked": RATES}
FITS = ("fit, NumPy", "fit, device arrays")
GOAL = 4.0


@dataclass(frozen=True)
class Size:
    """How much work a turn is.

    Attributes:
        shape: of a picture.
        rows: of a fold.
        batch: rows of a step.
        epochs: of each network in a turn.
        network: its parameters that are not the default's.
    """

    shape: tuple[int, ...] = SHAPE
    rows: int = 544
    batch: int = 32
    epochs: int = 5
    network: dict[str, Any] = field(default_factory=dict)


SMALL = Size((32, 32, 1), 96, 32, 2, {"depth": 1, "filters": 2, "embedding_width": 8})


def stacked(rates: tuple[float, ...], size: Size) -> Any:
    """A function that trains all folds of some configurations as one program; done when it returns."""
    from aio_tune.training import Program
    from aio_tune.training.stacked import StackedProgram

    programs = [Program(_training(rate, size) | size.network, size.shape, CLASSES) for rate in rates]
    stack = StackedProgram(programs[0], [program.initial_state(fold) for program in programs for fold in range(FOLDS)])
    networks = FOLDS * len(rates)
    x, targets = pictures(size.rows, size.shape)
    kept = stack.pictures([x] * networks)
    answers = stack.answers([([targets], [np.ones(size.rows, np.float32)])] * networks)
    batches, rows = programs[0].batches(size.rows)
    random = np.random.default_rng(0)

    def turn() -> None:
        for _ in range(size.epochs):
            orders = np.stack([random.permutation(size.rows)[: batches * rows] for _ in range(networks)])
            losses = np.asarray(stack.train_epoch(kept, answers, orders.reshape(networks, batches, rows)))
        if not np.isfinite(losses).all():
            raise SystemExit(f"Expected finite losses. Received {losses}.")

    return turn


def fit(name: str, size: Size) -> Any:
    """A function that trains one network for a turn's epochs; done when it returns."""
    import jax
    import keras

    from aio_tune.models import build
    from aio_tune.training import TrainingParams

    model = build(size.network, size.shape, CLASSES, 0)
    model.compile(
        optimizer=TrainingParams.parse(_training(RATES[0], size)).make_optimizer(),
        loss=keras.losses.CategoricalCrossentropy(),
        jit_compile=True,
        steps_per_execution=size.rows // size.batch,
    )
    x, targets = pictures(size.rows, size.shape)
    if name == "fit, device arrays":
        x, targets = jax.device_put(x), jax.device_put(targets)

    def turn() -> None:
        model.fit(x, targets, batch_size=size.batch, epochs=size.epochs, shuffle=True, verbose=0)
        jax.block_until_ready([variable.value for variable in model.variables])

    return turn


def _training(rate: float, size: Size) -> dict[str, Any]:
    return {"learning_rate": rate, "batch_size": size.batch}


def device() -> tuple[str, str]:
    """Platform and name of JAX's first device, asked for in a process that ends, so that it holds no memory of it."""
    code = "import jax; one = jax.devices()[0]; print(one.platform, one.device_kind, sep='\\n')"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    platform, kind = found.stdout.splitlines()[-2:]
    return platform, kind


def main() -> None:
    """Print model-epochs per second of all sides, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", choices=[*STACKS, *FITS])
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument(
        "--small", action="store_true", help="a tiny network, 32 x 32 x 1, few rows: to see that it runs"
    )
    arguments = parser.parse_args()
    if os.environ.get("KERAS_BACKEND") != "jax":
        parser.error("Expected KERAS_BACKEND=jax.")
    size, name = SMALL if arguments.small else Size(), arguments.side
    if name:
        turn = stacked(STACKS[name], size) if name in STACKS else fit(name, size)
        turn()
        answer_turns(turn)
        return
    platform, kind = device()
    command = [sys.executable, "-m", "benchmarks.stacked", *(["--small"] if arguments.small else []), "--side"]
    # Several processes share the device; each takes memory as it needs it.
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    with sides({side: [*command, side] for side in (*STACKS, *FITS)}, environment) as started:
        seconds = take_turns(started, arguments.repetitions)
    facts = _show(seconds, size, platform, kind)
    if not arguments.small:
        write(__file__, facts)


def _show(seconds: dict[str, list[float]], size: Size, platform: str, kind: str) -> dict[str, Any]:
    """Print; the figures as they are stored."""
    print(f"{kind} ({platform}), {size.rows} pictures of {size.shape} per fold, batch {size.batch}")
    if platform == "cpu":
        print("On a CPU one network's step fills the cores: stacking is not expected to pay there.")
    networks = {side: FOLDS * len(rates) for side, rates in STACKS.items()} | dict.fromkeys(FITS, 1)
    speeds = {side: [networks[side] * size.epochs / t for t in times] for side, times in seconds.items()}
    print(f"{'side':<22}{'model-epochs per second':>28}")
    for side, speed in speeds.items():
        print(f"{side:<22}{spread(speed):>28}")
    best = max(FITS, key=lambda side: statistics.median(speeds[side]))
    facts: dict[str, Any] = {"device": kind, "platform": platform, "size": asdict(size), "seconds": seconds}
    for side in STACKS:
        facts[f"{side} over {best}"] = gain = ratios(speeds[side], speeds[best])
        met = f"; goal on a GPU {GOAL:g}: {'met' if statistics.median(gain) >= GOAL else 'not met'}"
        print(f"speed, {side} / {best}: {spread(gain)}{met if platform != 'cpu' else ''}")
    return facts


if __name__ == "__main__":
    main()
