"""Which parameters a search's outcome depended on, by Optuna's functional ANOVA."""

import warnings

from aio_tune.search.state import SearchState
from aio_tune.search_space import SearchSpec

FEWEST = 4
"""Complete trials below which nothing can be said of importance."""


def parameter_importance(spec: SearchSpec, state: SearchState) -> dict[str, float]:
    """Parameter -> share of the variation among complete trials, 0..1, most important first; they sum to 1.

    Only parameters that are part of every complete trial, and that differed, are looked at: what a conditional
    parameter accounts for among some trials is not comparable. Empty for fewer than ``FEWEST`` trials, or if all are
    equally good.

    Source: Hutter et al., ICML 2014 (fANOVA), as implemented by Optuna.
    """
    import optuna

    complete = [trial for trial in state.trials.values() if trial.state == "COMPLETE" and trial.value is not None]
    names = [name for name in spec.distributions() if all(name in trial.params for trial in complete)]
    if len(complete) < FEWEST or not names or len({trial.value for trial in complete}) == 1:
        return {}
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    distributions = {name: spec.distributions()[name] for name in names}
    for trial in complete:
        params = spec.encode({name: trial.params[name] for name in names})
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=trial.value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=spec.seed)
    with warnings.catch_warnings():
        # Parameters that were the same in all trials: their importance is 0, which is what is wanted.
        warnings.filterwarnings("ignore", category=UserWarning)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
