"""A search as a process of its own, without command line and MLflow: what the tests that hurt it start.

`python tests/search/engine.py SPACE DATASET HOME NAME ADDRESS [--resume]`
"""

import sys
from pathlib import Path

from aio_tune.config import Home
from aio_tune.dataset import open_dataset
from aio_tune.errors import AioTuneError
from aio_tune.search.rows import training_rows
from aio_tune.search.run import run_search
from aio_tune.search_space import load_space


def main(space: str, data: str, home: str, name: str, address: str, *more: str) -> None:
    """Run the search to its end."""
    spec, dataset = load_space(Path(space)), open_dataset(Path(data))
    budget = spec.resources.memory_budget
    rows = training_rows(dataset, spec.task, spec.train_on, spec.folds, spec.seed, budget)
    run_search(spec, dataset, rows, Home(Path(home)), name, address=address, resume="--resume" in more)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except AioTuneError as error:
        sys.exit(str(error))
