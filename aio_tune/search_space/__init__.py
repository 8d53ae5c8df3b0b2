"""Search spaces: YAML -> a typed space -> Optuna suggestions.

A space file is one mapping::

    task: ki67                  # the clinical question
    train_on: [GSE96058]        # cohorts; default
    metric: auc                 # default; mean over folds, higher is better
    folds: 5                    # default
    seed: 0                     # default
    trials: 20
    epochs: 27                  # ladder of rungs (folds/2, e/2) -> (folds, e), or
    rungs: [[3, 14], [5, 27]]   # the ladder spelt out
    sampler: tpe                # default; or gp, nsga2, random, quasi-random, grid
    pruner: halving             # default; or median, percentile, none
    budget: {hours: 8, patience: 20}    # stop earlier
    max_parameters: 500000      # larger networks are refused before they cost anything
    resources: {folds_in_parallel: 2, cpus_per_fold: 1}
    space:
      batch_norm: true                                            # fixed
      optimizer: {choice: [adam, sgd]}
      momentum: {float: [0.5, 0.99], when: {optimizer: sgd}}      # part of a trial only if the condition holds
      learning_rate: {float: [1e-5, 1e-2], log: true}
      depth: {int: [1, 4]}
      fc_widths: {choice: [[64, 32, 32, 16], [128, 64, 32, 16]]}
    exclude:
      - {optimizer: sgd, depth: {min: 3}}                         # never both
    start:
      - {optimizer: adam, learning_rate: 3e-4}                    # tried first

Every mistake is a ``SpaceError`` in one line that names the file and the line.
"""

from aio_tune.search_space.known import KNOWN_PARAMETERS
from aio_tune.search_space.loading import change_resources, json_schema, load_space
from aio_tune.search_space.parameters import Choice, Fixed, FloatRange, IntRange, Parameter
from aio_tune.search_space.spec import COSTS, Budget, Resources, SearchSpec, default_rungs

__all__ = [
    "COSTS",
    "KNOWN_PARAMETERS",
    "Budget",
    "Choice",
    "Fixed",
    "FloatRange",
    "IntRange",
    "Parameter",
    "Resources",
    "SearchSpec",
    "change_resources",
    "default_rungs",
    "json_schema",
    "load_space",
]
