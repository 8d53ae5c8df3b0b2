"""The training step beside what others make of the same cores: `python -m benchmarks.step`.

The default network (benchmarks.default_network) on 544 pictures of 64 x 64 x 4 in batches of 32, both sides with the
same number of threads, each in a process of its own, taking turns. One turn is one epoch. Sides:

    ours          Program.train_epoch, as a fold's worker calls it
    keras fit     the same network from the same function, compiled with Keras' own Adam, trained by `fit`
    torch         the same layers, penalties and optimizer in PyTorch, channels last, fused Adam; left out where there
                  is no PyTorch
    matmul        a square matrix product: what the cores can do at best

Beside seconds, floating-point operations: forward, and twice that backward, of convolutions and dense layers.
"""

import argparse
import importlib.util
import os
import sys
from typing import Any

from benchmarks.default_network import CLASSES, SHAPE, flops_per_sample, pictures
from benchmarks.turns import REPETITIONS, answer_turns, ratios, sides, spread, take_turns, write

BATCH, ROWS = 32, 544
MATRIX = 2048
NAMES = ("ours", "keras fit", "torch", "matmul")
HERE = tuple(name for name in NAMES if name != "torch" or importlib.util.find_spec("torch"))


def work_of(name: str, threads: int) -> Any:
    """A function that does one turn of a side, warm."""
    makers = {"ours": _ours, "keras fit": _keras_fit, "torch": _torch, "matmul": _matmul}
    turn = makers[name](threads)
    turn()
    return turn


def _ours(threads: int) -> Any:
    import numpy as np

    from aio_tune.training import Program, configure_backend

    configure_backend(threads)
    program = Program({"batch_size": BATCH}, SHAPE, CLASSES)
    program.load(program.initial_state(0))
    x, targets = pictures(ROWS)
    weights, random = np.ones(ROWS, np.float32), np.random.default_rng(0)

    def turn() -> None:
        program.train_epoch(x, [targets], [weights], random.permutation(ROWS))

    return turn


def _keras_fit(threads: int) -> Any:
    from aio_tune.training import configure_backend

    configure_backend(threads)
    free_input_pipeline()
    import keras

    from aio_tune.models import build

    model = build({}, SHAPE, CLASSES, 0)
    model.compile(optimizer=keras.optimizers.Adam(3e-4), loss="categorical_crossentropy", jit_compile=False)
    x, targets = pictures(ROWS)

    def turn() -> None:
        model.fit(x, targets, batch_size=BATCH, epochs=1, shuffle=True, verbose=0)

    return turn


def free_input_pipeline() -> None:
    """Give back what ``configure_backend`` takes: `fit` reads its batches beside the step, in threads of their own."""
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(0)


def _torch(threads: int) -> Any:
    import torch

    from benchmarks.default_network import torch_network

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network, groups = torch_network()
    optimizer = torch.optim.Adam(groups, lr=3e-4, eps=1e-7, fused=True)
    x, targets = pictures(ROWS)
    images = torch.from_numpy(x.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(targets.argmax(axis=1))
    loss_of = torch.nn.CrossEntropyLoss()
    network.train()

    def turn() -> None:
        order = torch.randperm(ROWS)
        for start in range(0, ROWS, BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad(set_to_none=True)
            batch = images[rows].contiguous(memory_format=torch.channels_last)
            loss = loss_of(network(batch), labels[rows])
            loss.backward()
            optimizer.step()

    return turn


def _matmul(threads: int) -> Any:
    from aio_tune.training import configure_backend

    configure_backend(threads)
    import numpy as np
    import tensorflow as tf

    a = tf.constant(np.random.default_rng(0).random((MATRIX, MATRIX), dtype=np.float32))

    def turn() -> None:
        for _ in range(5):
            product = tf.matmul(a, a)
        product.numpy()

    return turn


def main() -> None:
    """Print samples per second, operations per second and the ratios that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=NAMES)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repetitions", type=int, default=2 * REPETITIONS)
    arguments = parser.parse_args()
    if arguments.side:
        answer_turns(work_of(arguments.side, arguments.threads))
        return
    command = [sys.executable, "-m", "benchmarks.step", "--threads", str(arguments.threads), "--side"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with sides({name: [*command, name] for name in HERE}, environment) as started:
        seconds = take_turns(started, arguments.repetitions)
    _show(seconds, arguments.threads)


def _show(seconds: dict[str, list[float]], threads: int) -> None:
    operations = flops_per_sample() * ROWS
    print(
        f"{threads} threads, {SHAPE} pictures, batch {BATCH}, {flops_per_sample() / 1e9:.3f} GFLOP per sample trained"
    )
    print(f"{'side':<12}{'samples per second':>28}{'GFLOP per second':>28}")
    facts: dict[str, Any] = {"threads": threads, "flops_per_sample": flops_per_sample(), "seconds": seconds}
    for name, times in seconds.items():
        done = 5 * 2 * MATRIX**3 if name == "matmul" else operations
        speed = "" if name == "matmul" else spread([ROWS / t for t in times], 0)
        print(f"{name:<12}{speed:>28}{spread([done / t / 1e9 for t in times], 1):>28}")
    for other in HERE[1:-1]:
        facts[f"ours over {other}"] = ratios(seconds[other], seconds["ours"])
        print(f"speed, ours / {other}: {spread(facts[f'ours over {other}'])}")
    write(__file__, facts)


if __name__ == "__main__":
    main()
