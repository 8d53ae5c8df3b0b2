"""Plain Optuna and plain Keras: TPE as it comes, all folds of every trial to the last epoch, one after the other.

TensorFlow has as many threads as it takes by itself, all cores'.
"""

import itertools

import optuna

from benchmarks.peers.work import CrossValidation, note, open_work, side_arguments, starts


def main() -> None:
    """Run the trials asked for, or go on until stopped."""
    arguments = side_arguments()
    work = open_work(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    complete = itertools.count(1)

    def objective(trial: optuna.Trial) -> float:
        params = work.spec.suggest(trial)
        if work.refusal(params):
            raise optuna.TrialPruned
        folds = CrossValidation(work, params)
        value = folds.train(work.last_epoch, goes_on=False)
        note(arguments.folder, value, folds.seconds)
        if next(complete) == arguments.trials:
            trial.study.stop()
        return value

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=work.spec.seed))
    for point in starts(work.spec):
        study.enqueue_trial(point)
    study.optimize(objective)


if __name__ == "__main__":
    main()
