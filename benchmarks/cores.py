"""How to divide the cores: a fold to each single-threaded worker, or one fold after the other on all of them.

`python -m benchmarks.cores`. For networks of several sizes, in turns: N processes of one thread, each training an epoch
of a fold of its own at the same time; and one process of N threads training N epochs, one after the other. Shown: how
many times more fold-epochs per second the single-threaded workers do.
"""

import argparse
import os
import sys
from typing import Any

from benchmarks.default_network import CLASSES, pictures
from benchmarks.turns import Side, Together, answer_turns, ratios, spread, take_turns, write

ROWS = 240
NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "embedding, 10,000 genes": ({"branches": "embedding"}, (100, 100, 1)),
    "two branches, 32x32x1": ({}, (32, 32, 1)),
    "default, 64x64x4": ({}, (64, 64, 4)),
    "32 filters, 64x64x4": ({"filters": 32}, (64, 64, 4)),
}


def side(network: str, threads: int, epochs: int) -> Any:
    """A function that trains ``epochs`` epochs, warm."""
    import numpy as np

    from aio_tune.training import Program, configure_backend

    configure_backend(threads)
    params, shape = NETWORKS[network]
    program = Program(params, shape, CLASSES)
    program.load(program.initial_state(0))
    random = np.random.default_rng(0)
    x, targets = pictures(ROWS, shape)
    weights = np.ones(ROWS, np.float32)

    def turn() -> None:
        for _ in range(epochs):
            program.train_epoch(x, [targets], [weights], random.permutation(ROWS))

    turn()
    turn()
    return turn


def compare(network: str, cores: int) -> dict[str, list[float]]:
    """Wall seconds of each repetition of both ways; equal work."""
    command = [sys.executable, "-m", "benchmarks.cores", "--network", network]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    epochs = 4
    ways = {
        "single": Together(
            [Side([*command, "--threads", "1", "--epochs", str(epochs)], environment) for _ in range(cores)]
        ),
        "together": Together([Side([*command, "--threads", str(cores), "--epochs", str(epochs * cores)], environment)]),
    }
    try:
        for way in ways.values():
            way.turn()
        return take_turns(ways)
    finally:
        for way in ways.values():
            way.end()


def main() -> None:
    """Print one line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.network:
        answer_turns(side(arguments.network, arguments.threads, arguments.epochs))
        return
    cores = len(os.sched_getaffinity(0))
    facts: dict[str, Any] = {"cores": cores}
    print(f"{cores} cores; speed of {cores} workers of one thread / one worker of {cores} threads")
    for network in NETWORKS:
        seconds = compare(network, cores)
        facts[network] = {**seconds, "ratio": ratios(seconds["together"], seconds["single"])}
        print(f"{network:<26}{spread(facts[network]['ratio'])}", flush=True)
    write(__file__, facts)


if __name__ == "__main__":
    main()
