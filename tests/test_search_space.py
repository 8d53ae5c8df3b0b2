import json
import re
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from aio_tune.errors import SpaceError
from aio_tune.search_space import (
    KNOWN_PARAMETERS,
    Budget,
    Resources,
    SearchSpec,
    default_rungs,
    json_schema,
    load_space,
)
from aio_tune.search_space.located_yaml import parse_yaml

SHIPPED = sorted((Path(__file__).parents[1] / "search_spaces").glob("*.yaml"))

SPACE = """\
task: ki67
train_on: [GSE96058]
trials: 8
epochs: 27
resources: {folds_in_parallel: 2}
space:
  batch_norm: true
  momentum: {float: [0.5, 0.99], when: {optimizer: [sgd, rmsprop]}}
  optimizer: {choice: [adam, sgd, rmsprop]}
  learning_rate:
    float: [1e-5, 1e-2]
    log: true
  depth: {int: [2, 8], step: 2}
  dropout: {float: [0, 0.6], step: 0.1}
  fc_widths: {choice: [[64, 32], [128, 64]]}
start:
  - {optimizer: adam, learning_rate: 3e-4, fc_widths: [128, 64]}
"""


@pytest.fixture
def load(tmp_path):
    def load_text(text, *overrides):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return load_space(path, overrides)

    return load_text


@pytest.fixture
def spec(load):
    return load(SPACE)


def draw(spec, n, seed=0, start=()):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for point in start:
        study.enqueue_trial(spec.encode(point))
    return [spec.suggest(study.ask()) for _ in range(n)]


@pytest.fixture(autouse=True)
def quiet_optuna():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(level)


# What a file says


def test_defaults_are_those_of_the_text(load):
    spec = load("task: nhg\ntrain_on: [A, B]\ntrials: 3\nepochs: 36\nspace: {depth: 2}\n")
    assert (spec.task, spec.train_on, spec.metric, spec.folds, spec.seed) == ("nhg", ("A", "B"), "auc", 5, 0)
    assert (spec.trials, spec.epochs, spec.rungs) == (3, 36, ((3, 18), (5, 36)))
    assert (spec.sampler, spec.pruner, spec.deterministic, spec.start) == ("tpe", "halving", False, ())
    resources = spec.resources
    assert resources.max_concurrent_trials is None
    assert (resources.folds_in_parallel, resources.cpus_per_fold, resources.gpus_per_fold) == (1, 1, 0)


@pytest.mark.parametrize(
    ("folds", "epochs", "rungs"),
    [
        (5, 36, ((3, 18), (5, 36))),
        (5, 9, ((3, 4), (5, 9))),
        (5, 3, ((3, 2), (5, 3))),
        (5, 2, ((3, 1), (5, 2))),
        (5, 1, ((5, 1),)),
        (2, 9, ((1, 4), (2, 9))),
        (10, 27, ((5, 14), (10, 27))),
    ],
)
def test_default_ladder(folds, epochs, rungs):
    assert default_rungs(folds, epochs) == rungs


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_every_default_ladder_is_accepted(folds):
    for epochs in range(1, 60):
        facts = {"task": "nhg", "train_on": ["A"], "trials": 1, "folds": folds, "epochs": epochs, "space": {}}
        assert SearchSpec.model_validate(facts).rungs[-1] == (folds, epochs)


def test_epochs_come_from_rungs(load):
    spec = load(SPACE, "rungs=[[2, 3], [5, 8]]")
    assert spec.rungs == ((2, 3), (5, 8)) and spec.epochs == 8
    assert load(SPACE.replace("epochs: 27", "rungs: [[5, 7]]")).epochs == 7
    assert load(SPACE.replace("epochs: 27", "epochs: 7\nrungs: [[5, 7]]")).rungs == ((5, 7),)


def test_epochs_alone_do_not_replace_rungs_that_are_spelt_out(load):
    text = SPACE.replace("epochs: 27", "rungs: [[1, 9], [5, 27]]")
    with pytest.raises(SpaceError, match=r"^--set epochs=9: Expected rungs too, .* line 4 .* 'rungs=\[\[3, 4\], "):
        load(text, "epochs=9")
    assert load(text, "rungs=[[5, 9]]").epochs == 9
    assert load(text, "epochs=9", "rungs=[[5, 9]]").rungs == ((5, 9),)


def test_spec_is_frozen(spec):
    with pytest.raises(ValueError, match="frozen"):
        spec.trials = 9
    with pytest.raises(ValueError, match="frozen"):
        spec.resources.cpus_per_fold = 9


# YAML


def test_scalars_are_those_of_yaml_1_2():
    text = "a: 1e-4\nb: 1E3\nc: no\nd: 1:30\ne: .5\nf: -3\ng: '1e-4'\nh: 2020-01-01\ni: ~\nj: True\nk: 1.\nl: 0x10\n"
    expected = [1e-4, 1000.0, "no", "1:30", 0.5, -3, "1e-4", "2020-01-01", None, True, 1.0, "0x10"]
    parsed = list(parse_yaml(text, "f").data.values())
    assert parsed == expected
    assert list(map(type, parsed)) == list(map(type, expected))


def test_exponents_without_a_dot_are_numbers(spec):
    assert spec.distributions()["learning_rate"] == FloatDistribution(1e-5, 1e-2, log=True)
    assert spec.start[0]["learning_rate"] == 3e-4


def test_every_value_knows_its_line():
    located = parse_yaml(SPACE, "f")
    lines = SPACE.splitlines()
    for path, found in located.places.items():
        if path and isinstance(path[-1], str):
            assert f"{path[-1]}:" in lines[found.line - 1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f, line 3: Expected each key once. Received 'a' again, after line 1."),
        ("a: {b: 1,\n    b: 2}\n", "f, line 2: Expected each key once. Received 'b' again, after line 1."),
        ("a: &x [1]\nb: *x\n", "f, line 2: Expected YAML. Received: an alias, which is not supported."),
        ("a: !!python/object:os.system {}\n", "f, line 1: Expected a value without a YAML tag."),
        ("a: !!set {b: 1}\n", "f, line 1: Expected a value without a YAML tag. Received 'tag:yaml.org,2002:set'."),
        ("a: !!int '3'\n", "f, line 1: Expected a value without a YAML tag. Received 'tag:yaml.org,2002:int'."),
        ("a: [1,\n", "f, line 2: Expected YAML. Received: "),
        ("a: 1\n\tb: 2\n", "f, line 2: Expected YAML. Received: "),
        ("a: 1\n---\nb: 2\n", "f, line 2: Expected YAML. Received: but found another document."),
        ("[a]: 1\n", "f, line 1: Expected a plain key. Received a sequence."),
        ("- a\n", "f, line 1: Expected settings as `key: value`. Received ['a']."),
        ("\n", "f: Expected YAML. Received nothing."),
        ("a: \0\n", "f: Expected YAML. Received: "),
    ],
)
def test_yaml_that_is_refused(text, problem):
    with pytest.raises(SpaceError, match=f"^{re.escape(problem)}") as caught:
        parse_yaml(text, "f")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SpaceError, match=r"there is no such file\.$"):
        load_space(tmp_path / "absent.yaml")
    with pytest.raises(SpaceError, match="Expected a readable search space"):
        load_space(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"task: \xe9")
    with pytest.raises(SpaceError, match="Expected a readable search space"):
        load_space(tmp_path / "latin.yaml")


# Mistakes: (what is replaced, by what, line, what the message says)

MISTAKES = [
    ("trials: 8", "trails: 8", 3, "Received 'trails'. Did you mean 'trials'?"),
    ("  depth:", "  dept:", 13, "Expected a parameter. Received 'dept'. Did you mean 'depth'?"),
    ("    log: true", "    lgo: true", 12, "one of float, step, log, when. Received 'lgo'. Did you mean 'log'?"),
    (
        "{int: [2, 8]",
        "{itn: [2, 8]",
        13,
        "one of choice, int, float. Received a mapping of itn, step. Did you mean 'int'?",
    ),
    ("{choice: [adam", "{choices: [adam", 9, "Did you mean 'choice'?"),
    ("folds_in_parallel", "folds_in_paralel", 5, "Did you mean 'folds_in_parallel'?"),
    (
        "[sgd, rmsprop]}}",
        "[sgd, rmsprp]}}",
        8,
        "a value that optimizer can take. Received 'rmsprp'. Did you mean 'rmsprop'?",
    ),
    (
        "when: {optimizer",
        "when: {optimiser",
        8,
        "parameter of this space. Received 'optimiser'. Did you mean 'optimizer'?",
    ),
    (
        "adam, learning",
        "adm, learning",
        17,
        "a value within the space of optimizer. Received 'adm'. Did you mean 'adam'?",
    ),
    (", learning_rate: 3e-4", ", learning_rat: 3e-4", 17, "Received 'learning_rat'. Did you mean 'learning_rate'?"),
    ("task: ki67", "task: k67", 1, "one of ki67, nhg, er, pgr, her2, pam50. Received 'k67'. Did you mean 'ki67'?"),
    ("trials: 8", "trials: 8\nmetric: acuracy", 4, "Received 'acuracy'. Did you mean 'accuracy'?"),
    ("trials: 8", "trials: 8\nmetric: auc_G1", 4, "a metric of ki67"),
    (
        "trials: 8",
        "trials: 8\nsampler: tp",
        4,
        "Expected sampler to be 'tpe', 'random', 'quasi-random', 'grid', 'gp' or 'nsga2'. Received 'tp'. "
        "Did you mean 'tpe'?",
    ),
    ("trials: 8", "trials: 8\nbudget: {hour: 2}", 4, "one of hours, patience, target. Received 'hour'."),
    ("trials: 8", "trials: 8\nbudget: {hours: 0}", 4, "Expected more than 0 for budget.hours. Received 0."),
    ("trials: 8", "trials: 8\nmax_parameters: 0", 4, "Expected at least 1 for max_parameters. Received 0."),
    ("trials: 8", "trials: 8\nsecond_goal: auc", 4, "a goal beside auc, one of parameters, seconds, accuracy"),
    ("trials: 8", "trials: 8\npruner: halving\nsecond_goal: f1", 4, "Expected pruner: none with a second goal."),
    ("trials: 8", "trials: 8\nsampler: grid", 9, "an int or a float with a step, for a grid"),
    ("trials: 8", "trials: 8\nexclude: [{dept: 3}]", 4, "Received 'dept'. Did you mean 'depth'?"),
    ("trials: 8", "trials: 8\nexclude: [{optimizer: adm}]", 4, "a value that optimizer can take. Received 'adm'."),
    ("trials: 8", "trials: 8\nexclude: [{}]", 4, "Expected at least 1 item(s) for exclude.0."),
    ("trials: 8", "trials: 8\nexclude: [{depth: {least: 3}}]", 4, "a value, a list of values, or a range of min"),
    ("trials: 8", "trials: 8\nexclude: [{learning_rate: {max: 1e-3}}]", 18, "a starting point that is not excluded"),
    ("trials: 8", "trials: 8\npruner: medain", 4, "Did you mean 'median'?"),
    ("trials: 8", "trials: eight", 3, "Expected a whole number for trials. Received 'eight'."),
    ("trials: 8", "trials: 8.0", 3, "Expected a whole number for trials. Received 8.0."),
    ("trials: 8", "trials: true", 3, "Expected a whole number for trials. Received true."),
    ("trials: 8", "trials: 0", 3, "Expected at least 1 for trials. Received 0."),
    ("trials: 8", "trials:", 3, "Expected a whole number for trials. Received nothing."),
    ("trials: 8\n", "", 1, "Expected trials. Received nothing."),
    ("epochs: 27\n", "", 1, "Expected epochs or rungs. Received 'neither'."),
    ("epochs: 27", "epochs: 2.5", 4, "Expected a whole number for epochs. Received 2.5."),
    ("epochs: 27", "rungs: 3", 4, "Expected a list for rungs. Received 3."),
    ("epochs: 27", "rungs: []", 4, "Expected at least 1 item(s) for rungs. Received []."),
    (
        "epochs: 27",
        "rungs:\n  - [1, 2]\n  - [5, 2, 3]",
        6,
        "Expected at most 2 item(s) for rungs.1. Received [5, 2, 3].",
    ),
    (
        "epochs: 27",
        "rungs:\n  - [2, 2]\n  - [1, 4]\n  - [5, 9]",
        6,
        "no fewer folds than the one before, [2, 2]. Received [1, 4].",
    ),
    ("epochs: 27", "rungs:\n  - [2, 4]\n  - [5, 4]", 6, "rungs with more epochs and no fewer folds"),
    ("epochs: 27", "rungs:\n  - [1, 2]\n  - [2, 4]", 6, "a last rung with all 5 folds. Received 2."),
    ("epochs: 27", "rungs: [[1, 2], [5, 9]]\nepochs: 8", 5, "as many epochs as the last rung has, 9. Received 8."),
    ("train_on: [GSE96058]", "train_on: GSE96058", 2, "Expected a list for train_on. Received 'GSE96058'."),
    ("train_on: [GSE96058]", "train_on: []", 2, "Expected at least 1 item(s) for train_on. Received []."),
    ("train_on: [GSE96058]", "train_on: [A, A]", 2, "Expected each cohort once. Received ['A', 'A']."),
    ("folds_in_parallel: 2", "folds_in_parallel: 6", 5, "at most as many processes as folds, 5. Received 6."),
    ("folds_in_parallel: 2", "gpus_per_fold: 1.5", 5, "a share up to 1 or a whole number of GPUs. Received 1.5."),
    ("folds_in_parallel: 2", "gpus_per_fold: -1", 5, "Expected at least 0 for resources.gpus_per_fold. Received -1."),
    ("{folds_in_parallel: 2}", "2", 5, "Expected a mapping for resources. Received 2."),
    ("{int: [2, 8]", "{int: [8, 2]", 13, "space.depth: Expected the lowest value before the highest. Received [8, 2]."),
    (
        "{int: [2, 8]",
        "{int: [2, 7]",
        13,
        "a highest value that steps from the lowest one reach. Received [2, 7] in steps of 2.",
    ),
    ("{int: [2, 8]", "{int: [2.5, 8]", 13, "Expected a whole number for space.depth.int.0. Received 2.5."),
    ("{int: [2, 8]", "{int: [2]", 13, "space.depth.int"),
    ("step: 0.1", "step: 0.25", 14, "Expected a highest value that steps from the lowest one reach."),
    ("step: 0.1", "step: 0", 14, "Expected more than 0 for space.dropout.step. Received 0."),
    ("step: 0.1", "log: true", 14, "space.dropout: Expected a lowest value above 0 with log. Received 0.0."),
    ("    log: true", "    log: true\n    step: 0.001", 10, "Expected log or step, not both. Received both."),
    ("    log: true", "    log: 1", 12, "Expected true or false for space.learning_rate.log. Received 1."),
    ("[[64, 32], [128, 64]]", "[[64, 32], [64, 32]]", 15, "Expected each choice once. Received [64, 32] twice."),
    ("[[64, 32], [128, 64]]", "[1, true]", 15, "Expected each choice once. Received True twice."),
    ("[[64, 32], [128, 64]]", "[]", 15, "Expected at least 1 item(s) for space.fc_widths.choice. Received []."),
    (
        "[[64, 32], [128, 64]]",
        "[[[1]]]",
        15,
        "Expected a number, text, true, false or a list of these for space.fc_widths.choice.0.",
    ),
    (
        "batch_norm: true",
        "batch_norm: [[1]]",
        7,
        "a number, text, true, false or a list of these for space.batch_norm.",
    ),
    (
        "rmsprop]}\n",
        "rmsprop], when: {momentum: 0.9}}\n",
        8,
        "do not lead back to themselves. Received ['momentum', 'optimizer'].",
    ),
    ("learning_rate: 3e-4", "learning_rate: 3", 17, "a value within the space of learning_rate. Received 3."),
    ("learning_rate: 3e-4", "depth: 3", 17, "a value within the space of depth. Received 3."),
    ("learning_rate: 3e-4", "depth: 4.0", 17, "a value within the space of depth. Received 4.0."),
    ("learning_rate: 3e-4", "dropout: 0.25", 17, "a value within the space of dropout. Received 0.25."),
    ("learning_rate: 3e-4", "batch_norm: 1", 17, "a value within the space of batch_norm. Received 1."),
    ("fc_widths: [128, 64]", "fc_widths: [64, 128]", 17, "a value within the space of fc_widths. Received [64, 128]."),
    ("start:\n", "start: 3\nfolds: 5\nseed:\n", 16, "Expected a list for start. Received 3."),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_place(load, tmp_path, old, new, line, message):
    assert SPACE.count(old) == 1
    with pytest.raises(SpaceError) as caught:
        load(SPACE.replace(old, new))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'space.yaml'}, line {line}: ") and message in text
    assert "\n" not in text


def test_of_several_mistakes_the_first_is_told(load):
    text = SPACE.replace("trials: 8", "trials: x").replace("  depth:", "  dept:")
    with pytest.raises(SpaceError, match=r"line 3: .*trials"):
        load(text)
    with pytest.raises(SpaceError, match=r"line 13: .*'dept'"):
        load(text, "trials=3")


# Constraints, goals, grid


def test_a_range_is_a_condition(load):
    spec = load(SPACE.replace("when: {optimizer", "when: {depth: {min: 4, max: 6}, optimizer"), "space.optimizer=sgd")
    drawn = draw(spec, 60)
    assert {params["depth"] for params in drawn} == {2, 4, 6, 8}
    assert all(("momentum" in params) is (4 <= params["depth"] <= 6) for params in drawn)


@given(st.integers(1, 3), st.sampled_from(["adam", "sgd", "rmsprop"]), st.floats(1e-5, 1e-2))
def test_excluded_is_what_one_rule_covers_whole(depth, optimizer, rate):
    spec = SearchSpec.model_validate({
        "task": "ki67", "trials": 1, "epochs": 1,
        "space": {"depth": {"int": [1, 3]}, "optimizer": {"choice": ["adam", "sgd", "rmsprop"]},
                  "learning_rate": {"float": [1e-5, 1e-2]}},
        "exclude": [{"optimizer": ["sgd", "rmsprop"], "learning_rate": {"max": 1e-4}}, {"depth": 3}],
    })  # fmt: skip
    params = {"depth": depth, "optimizer": optimizer, "learning_rate": rate}
    expected = (optimizer != "adam" and rate <= 1e-4) or depth == 3
    assert bool(spec.excluded(params)) is expected
    assert not spec.excluded({}), "what is not there breaks no rule"


def test_the_grid_has_every_value_of_every_searched_parameter(load):
    spec = load(SPACE, "sampler=grid", "space.momentum={choice: [0.9]}", "space.learning_rate={choice: [3e-4]}")
    grid = spec.grid()
    assert grid.keys() == spec.distributions().keys()
    for name, values in grid.items():
        assert all(spec.distributions()[name]._contains(spec.distributions()[name].to_internal_repr(v)) for v in values)
    assert len(set(grid["dropout"])) == len(grid["dropout"]) > 1


def test_everything_that_a_ledger_keeps_of_a_space_is_read_back(load):
    more = ["exclude=[{depth: {min: 4}, optimizer: [adam, sgd]}]", "budget={hours: 2, patience: 5}", "pruner=none",
            "second_goal=parameters", "max_parameters=100000", "start=[]"]  # fmt: skip
    spec = load(SPACE, *more)
    facts = json.loads(json.dumps({**spec.settings_facts(), "space": spec.space_facts()}))
    assert SearchSpec.model_validate(facts) == spec


# Overrides


def test_overrides_replace_values(load):
    spec = load(SPACE, "trials=3", "epochs=9", "resources.cpus_per_fold=2", "metric=f1", "train_on=[A, B]", "trials=4")
    assert (spec.trials, spec.epochs, spec.rungs[-1], spec.metric, spec.train_on) == (4, 9, (5, 9), "f1", ("A", "B"))
    assert (spec.resources.folds_in_parallel, spec.resources.cpus_per_fold) == (2, 2)


def test_overrides_reach_into_the_space(load):
    spec = load(SPACE, "space.depth={int: [1, 3]}", "space.dropout.step=0.2", "space.batch_size=16")
    assert spec.distributions()["depth"] == IntDistribution(1, 3)
    assert spec.distributions()["dropout"] == FloatDistribution(0, 0.6, step=0.2)
    assert draw(spec, 1)[0]["batch_size"] == 16


def test_an_override_beats_the_starting_points_it_rules_out(load):
    spec = load(SPACE, "space.learning_rate=1e-3", "space.optimizer=sgd", "space.fc_widths={choice: [[128, 64], [8]]}")
    assert spec.start == ({"fc_widths": (128, 64)},)
    assert draw(spec, 1, start=spec.start)[0]["learning_rate"] == 1e-3
    assert load(SPACE, "space.learning_rate=3e-4").start == load(SPACE).start
    with pytest.raises(SpaceError, match="Received 1e-09"):
        load(SPACE, "start=[{learning_rate: 1e-9}]")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("trials", "Expected --set KEY=VALUE. Received 'trials'."),
        ("=3", "Expected --set KEY=VALUE. Received '=3'."),
        ("space..depth=3", "Expected --set KEY=VALUE. Received 'space..depth=3'."),
        ("epochz=3", "--set epochz=3: Expected a key, one of task,"),
        ("space.dept=3", "--set space.dept=3: Expected a parameter. Received 'dept'. Did you mean 'depth'?"),
        ("trials=ten", "--set trials=ten: Expected a whole number for trials. Received 'ten'."),
        ("trials.more=1", "--set trials.more=1: Expected a key whose parts are mappings. Received 8 at trials."),
        ("trials=[", "--set trials=[: Expected YAML. Received: "),
        ("trials=", "--set trials=: Expected YAML. Received nothing."),
        ("space.depth.step=5", "--set space.depth.step=5"),
        ("resources.gpus=1", "--set resources.gpus=1: Expected a key, one of max_concurrent_trials,"),
        ("folds=1", "--set folds=1: Expected at least 2 for folds. Received 1."),
    ],
)
def test_a_mistake_in_an_override_names_the_override(load, assignment, message):
    with pytest.raises(SpaceError) as caught:
        load(SPACE, assignment)
    if assignment == "space.depth.step=5":  # the whole parameter is wrong, and stands in the file
        assert "space.depth: Expected a highest value" in str(caught.value)
    else:
        assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# Optuna


def test_suggestions_are_conditional_and_within_range(spec):
    drawn = draw(spec, 200)
    for params in drawn:
        assert params["batch_norm"] is True
        assert ("momentum" in params) == (params["optimizer"] in ("sgd", "rmsprop"))
        assert params["depth"] in (2, 4, 6, 8)
        assert params["fc_widths"] in ([64, 32], [128, 64])
        assert 1e-5 <= params["learning_rate"] <= 1e-2
    assert {p["optimizer"] for p in drawn} == {"adam", "sgd", "rmsprop"}
    below = sum(p["learning_rate"] < 10**-3.5 for p in drawn)
    assert 70 <= below <= 130  # half of the orders of magnitude


def test_a_condition_on_what_is_itself_not_there_does_not_hold(load):
    text = """\
task: ki67
train_on: [A]
trials: 1
epochs: 1
space:
  kernel_size: {choice: [3, 5], when: {depth: [1, 2]}}
  depth: {int: [1, 2], when: {branches: both, batch_norm: true}}
  branches: {choice: [both, embedding]}
  batch_norm: {choice: [true, false]}
"""
    for params in draw(load(text), 60):
        there = params["branches"] == "both" and params["batch_norm"]
        assert ("depth" in params) == ("kernel_size" in params) == there


def test_distributions_are_optunas(spec):
    found = spec.distributions()
    assert set(found) == {"momentum", "optimizer", "learning_rate", "depth", "dropout", "fc_widths"}
    assert found["depth"] == IntDistribution(2, 8, step=2)
    assert found["optimizer"] == CategoricalDistribution(["adam", "sgd", "rmsprop"])
    assert found["fc_widths"] == CategoricalDistribution(["[64, 32]", "[128, 64]"])
    trial = optuna.create_study().ask()
    spec.suggest(trial)
    assert all(found[name] == distribution for name, distribution in trial.distributions.items())


def test_a_starting_point_is_what_the_first_trial_gets(spec):
    first = draw(spec, 2, start=spec.start)[0]
    assert (first["optimizer"], first["learning_rate"], first["fc_widths"]) == ("adam", 3e-4, [128, 64])
    assert "momentum" not in first


def test_what_was_suggested_comes_back_after_a_journey_through_json(spec):
    drawn = draw(spec, 30)
    replayed = draw(spec, 30, seed=1, start=json.loads(json.dumps(drawn)))
    assert replayed == drawn


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_multivariate_tpe_takes_the_space(spec):
    sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, n_startup_trials=3, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for point in spec.start:
        study.enqueue_trial(spec.encode(point))
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, spec.suggest(trial)["learning_rate"])
    assert len(study.trials) == 12


def test_facts_are_json_and_tell_spaces_apart(load, spec):
    assert json.loads(json.dumps(spec.space_facts())) == spec.space_facts()
    assert json.loads(json.dumps(spec.settings_facts())) == spec.settings_facts()
    assert spec.space_facts()["momentum"] == {"float": [0.5, 0.99], "when": {"optimizer": ["sgd", "rmsprop"]}}
    assert spec.space_facts()["batch_norm"] is True
    assert load(SPACE, "trials=99").space_facts() == spec.space_facts()
    assert load(SPACE, "space.depth.step=1").space_facts() != spec.space_facts()
    again = SearchSpec.model_validate({**spec.settings_facts(), "space": spec.space_facts()})
    assert again == spec


# Other rooms


def test_parameters_are_those_of_training_and_network():
    from aio_tune.training import known_parameters

    assert set(KNOWN_PARAMETERS) == set(known_parameters())
    assert len(set(KNOWN_PARAMETERS)) == len(KNOWN_PARAMETERS)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_spaces_hold_what_training_and_network_take(path):
    from aio_tune.training import split_params

    spec = load_space(path)
    for params in draw(spec, 100, start=spec.start):
        split_params(params)  # raises TrialError for what neither training nor network takes


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_starting_points_are_complete(path):
    spec = load_space(path)
    assert spec.start
    for point, params in zip(spec.start, draw(spec, len(spec.start), start=spec.start), strict=True):
        assert set(params) - set(point) == {name for name in spec.space if name not in spec.distributions()}
        assert set(point) <= set(params)


@pytest.mark.parametrize("task", ["ki67", "nhg"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_spaces_serve_both_tasks_and_any_length(path, task):
    for epochs in (1, 2, 5, 100):
        spec = load_space(path, [f"task={task}", f"rungs=[[5, {epochs}]]", "trials=2"])
        assert (spec.task, spec.rungs, spec.epochs) == (task, ((5, epochs),), epochs)


def test_the_four_spaces_are_there():
    assert [path.stem for path in SHIPPED] == ["demo", "ki67", "nhg", "paper"]


def test_json_schema_knows_every_key():
    schema = json_schema()
    assert set(schema["properties"]) == set(SearchSpec.model_fields)
    assert schema["required"] == ["task", "trials", "space"]
    assert set(schema["properties"]["space"]["propertyNames"]["enum"]) == set(KNOWN_PARAMETERS)
    assert {"choice", "when"} <= set(schema["$defs"]["Choice"]["properties"])
    assert {"float", "log", "step", "when"} == set(schema["$defs"]["FloatRange"]["properties"])
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_the_docs_name_every_key_and_every_parameter():
    text = (Path(__file__).parents[1] / "docs" / "search-spaces.md").read_text()
    for name in (*SearchSpec.model_fields, *Resources.model_fields, *Budget.model_fields):
        assert f"`{name}`" in text
    for name in KNOWN_PARAMETERS:
        assert f"`{name}`" in text
