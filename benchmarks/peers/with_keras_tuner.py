"""KerasTuner's Hyperband, with a loop over the folds in ``run_trial``. Needs keras-tuner.

A trial of a later rung goes on from the weights and the optimizer of each fold that the rung before left; they stay in
memory, where Keras' own tuner would write them to disk. Sequential, TensorFlow with as many threads as it takes by
itself, all cores'. Hyperband draws at random and has no first configurations of its own; the space's starting points
take the place of its first draws, by the method that KerasTuner asks subclasses of an oracle to override.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner

from aio_tune.search_space import Choice, FloatRange, SearchSpec
from benchmarks.peers.work import CrossValidation, State, Work, note, open_work, side_arguments, starts

FACTOR, ITERATIONS = 3, 10_000


class AsOptunaTrial:
    """KerasTuner's hyperparameters, asked as an Optuna trial is.

    Options and steps are numbered: KerasTuner's choices must be of one type, and of a float's steps it leaves out the
    last one where ``(0.5 - 0) // 0.1`` is 4.
    """

    def __init__(self, hp: keras_tuner.HyperParameters) -> None:
        self._hp = hp

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[self._hp.Choice(name, list(range(len(choices))), ordered=False)]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._hp.Int(name, low, high, sampling="log") if log else self._hp.Int(name, low, high, step=step))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is None:
            return float(self._hp.Float(name, low, high, sampling="log" if log else "linear"))
        return min(high, low + step * int(self._hp.Int(name, 0, round((high - low) / step))))


def as_hyperparameters(spec: SearchSpec, point: Mapping[str, Any]) -> dict[str, Any]:
    """The values that make ``AsOptunaTrial`` answer with a point as Optuna holds it."""
    values = {}
    for name, value in point.items():
        parameter = spec.space[name]
        values[name] = value
        if isinstance(parameter, Choice):
            values[name] = (parameter.grid() or []).index(value)
        elif isinstance(parameter, FloatRange) and parameter.step is not None:
            values[name] = round((value - parameter.bounds[0]) / parameter.step)
    return values


class _WithStarts(keras_tuner.oracles.HyperbandOracle):
    """Hyperband whose first draws are given."""

    def __init__(self, points: Sequence[Mapping[str, Any]], **settings: Any) -> None:
        self._points = list(points)
        super().__init__(**settings)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = super().populate_space(trial_id)
        if self._points and answer["status"] == "RUNNING" and answer["values"]["tuner/round"] == 0:
            answer["values"].update(self._points.pop(0))
        return answer


class _Folds(keras_tuner.Tuner):
    def __init__(self, work: Work, folder: Any, **settings: Any) -> None:
        self._work, self._folder = work, folder
        self._bracket = -1
        # Trial -> its folds, and the seconds it took; of the bracket at work.
        self._past: dict[str, tuple[list[State], float]] = {}
        super().__init__(**settings)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        hp, work = trial.hyperparameters, self._work
        if hp["tuner/bracket"] != self._bracket:
            self._bracket = hp["tuner/bracket"]
            self._past.clear()
        params = work.spec.suggest(AsOptunaTrial(hp))  # type: ignore[arg-type]
        if work.refusal(params):
            return {"auc": 0.0}
        past = hp.values.get("tuner/trial_id")
        states, seconds = self._past[past] if past else (None, 0.0)
        folds = CrossValidation(work, params, states)
        goes_on = hp["tuner/epochs"] < work.last_epoch
        value = folds.train(hp["tuner/epochs"] - hp["tuner/initial_epoch"], goes_on)
        seconds += folds.seconds
        if goes_on:
            self._past[trial.trial_id] = folds.states(), seconds
        else:
            note(self._folder, value, seconds)
        return {"auc": value}


def main() -> None:
    """Search until stopped."""
    arguments = side_arguments()
    work = open_work(arguments)
    declared = keras_tuner.HyperParameters()
    for name, parameter in work.spec.space.items():
        parameter.suggest(AsOptunaTrial(declared), name)  # type: ignore[arg-type]
    oracle = _WithStarts(
        [as_hyperparameters(work.spec, point) for point in starts(work.spec)],
        objective=keras_tuner.Objective("auc", "max"),
        max_epochs=work.last_epoch,
        factor=FACTOR,
        hyperband_iterations=ITERATIONS,
        hyperparameters=declared,
        seed=work.spec.seed + 1,  # 0 would be any
        max_consecutive_failed_trials=1,  # else a trial that fails would count as one that was no good
    )
    _Folds(work, arguments.folder, oracle=oracle, directory=str(arguments.folder), project_name="keras_tuner").search(
        verbose=0
    )


if __name__ == "__main__":
    main()
