"""Tasks as they are declared, and the labels that come of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_tune.cohorts.clinical import clinical_table, read_labels
from aio_tune.cohorts.formats import FORMATS
from aio_tune.errors import CohortError
from aio_tune.tasks import TASKS, Label, Task, read_task, with_declared

LARGE = "name: large\ntitle: Large tumour\nclasses: [small, large]\nlabels:\n  GSE96058: {key: tumor size, above: 20}\n"
HIGH = "name: high_grade\ntitle: High grade\nclasses: [other, high-grade]\nof: nhg\n"
HIGH += "values: {other: [G1, G2], high-grade: G3}\n"


def declared(tmp_path: Path, text: str, name: str = "task.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_those_that_everybody_has() -> None:
    assert list(TASKS) == ["ki67", "nhg", "er", "pgr", "her2", "pam50"]
    known = {known.name for known in FORMATS}
    for name, task in TASKS.items():
        assert task.name == name
        assert set(task.labels) <= known
        assert all(label.task == name for label in task.labels.values())
    assert TASKS["ki67"].classes[1] == "positive"
    assert TASKS["pam50"].classes == ("Basal", "Her2", "LumA", "LumB", "Normal")


def test_a_value_may_be_one_or_several_and_any_case(tmp_path: Path) -> None:
    task = read_task(declared(tmp_path, (
        "name: luminal\ntitle: Luminal\nclasses: [other, luminal]\nlabels:\n  C:\n    key: '  PAM50   subtype '\n"
        "    values: {other: [Basal, 7], luminal: LumA}\n    invalid: [x]\n"
    )))  # fmt: skip
    label = task.labels["C"]
    assert (label.key, label.classes) == ("pam50 subtype", {"basal": "other", "7": "other", "luma": "luminal"})
    records = [{"pam50 subtype": value} for value in ("LUMA", "basal", "NA", "", "X", "7")]
    found, notes = read_labels(label, task.title, list("abcdef"), records, "clinical.csv")
    assert found == ["luminal", "other", None, None, None, "other"]
    assert notes == ["Luminal: value 'X' of 'pam50 subtype' is not valid, left missing in 1 sample."]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.lists(st.integers(-50, 50), min_size=1, max_size=4, unique=True))
def test_limits_divide_numbers(values: list[float], limits: list[int]) -> None:
    limits.sort()
    names = tuple(f"class {i}" for i in range(len(limits) + 1))
    label = Label("t", "k", {}, limits=tuple(map(float, limits)), names=names)
    records = [{"k": repr(value)} for value in values]
    found, _ = read_labels(label, "T", [str(i) for i in range(len(values))], records, "f")
    assert found == [names[sum(value > limit for limit in limits)] for value in values]


@pytest.mark.parametrize("value", ["many", "nan", "inf"])
def test_what_is_no_number_is_refused(value: str) -> None:
    label = Label("t", "size", {}, limits=(20.0,), names=("small", "large"))
    with pytest.raises(CohortError, match=rf"a number as 'size' in f\. Received '{value}' for sample 'S2'"):
        read_labels(label, "T", ["S1", "S2"], [{"size": "3"}, {"size": value}], "f")


@pytest.mark.parametrize(
    ("more", "wrong"),
    [("", "999"), ("", "999.0"), ("", "UNKNOWN"), ("percent: true, ", "999 %"), ("percent: true, ", "999")],
)
def test_an_invalid_number_is_missing_and_counted(tmp_path: Path, more: str, wrong: str) -> None:
    text = LARGE.replace("above: 20", f"{more}above: 20, invalid: [999, 999 %, Unknown]")
    label = read_task(declared(tmp_path, text)).labels["GSE96058"]
    records = [{"tumor size": value} for value in ("20", wrong, f" {wrong}", "99", "NA")]
    found, notes = read_labels(label, "Large", list("abcde"), records, "clinical.csv")
    assert found == ["small", None, None, "large", None]
    assert notes == [f"Large: value '{wrong}' of 'tumor size' is not valid, left missing in 2 samples."]


def test_a_regrouping_follows_the_other_task(tmp_path: Path) -> None:
    tasks = with_declared([declared(tmp_path, HIGH)])
    assert list(tasks) == [*TASKS, "high_grade"]
    table = clinical_table(
        samples=list("abcd"), patients=list("abcd"), tasks=tasks, labels={"nhg": ["G1", "G3", None, "G2"]},
        platforms=[""] * 4,
    )  # fmt: skip
    assert table["high_grade"].fillna("missing").tolist() == ["other", "high-grade", "missing", "other"]
    assert table["ki67"].isna().all()


def test_what_it_says_makes_its_hash(tmp_path: Path) -> None:
    first = read_task(declared(tmp_path, LARGE))
    assert first.sha256 == read_task(declared(tmp_path, LARGE + "# a comment\n")).sha256
    assert first.sha256 != read_task(declared(tmp_path, LARGE.replace("20", "30"))).sha256
    assert len({task.sha256 for task in TASKS.values()}) == len(TASKS)


@pytest.mark.parametrize("classes", ["low, large", "small, HIGH", "Mean, large", "sd, large", "T1, t1_Low", "a_sd, A"])
def test_a_class_whose_metrics_look_like_an_interval_is_refused(classes: str, tmp_path: Path) -> None:
    said = r"\(_low, _high, _mean, _sd\) in task\.yaml\. Received '(low|HIGH|Mean|sd|t1_Low|a_sd)'\. .*such as low-risk"
    with pytest.raises(CohortError, match=said):
        read_task(declared(tmp_path, LARGE.replace("small, large", f"{classes}, other")))


@pytest.mark.parametrize(
    "name", ["1.5", " small", "small ", "<20", "a+", "a/b", "a:b", "-a", "", "a" * 65, "None", "nan"]
)
def test_a_class_that_no_metric_or_gate_can_name_is_refused(name: str, tmp_path: Path) -> None:
    said = r"a valid classes\.0 in task\.yaml\. Received .*letters, digits, spaces, _ and - alone"
    with pytest.raises(CohortError, match=said):
        read_task(declared(tmp_path, LARGE.replace("[small,", f"['{name}',")))


@pytest.mark.parametrize(
    "classes",
    ["low, high", "low-risk, high-risk", "no response, é", "lowest, sd1", "T_low, T_high", "'1', " + "a" * 64],
)
def test_other_classes_are_taken(classes: str, tmp_path: Path) -> None:
    task = read_task(declared(tmp_path, LARGE.replace("small, large", classes)))
    assert task.classes == tuple(classes.replace("'", "").split(", "))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LARGE.replace("name: large", "name: Large"), r"a valid name in task\.yaml\. Received 'Large'"),
        (LARGE.replace("name: large", "name: platform"), "name of its own.*another column's"),
        (LARGE.replace("[small, large]", "[small]"), "a valid classes"),
        (LARGE.replace("[small, large]", "[small, small]"), "classes of different names"),
        (LARGE.replace("above: 20", "above: [20, 30]"), r"1 ascending limit\(s\) between 2 classes.*Received 20, 30"),
        (LARGE.replace("above: 20", "above: 20, values: {small: a}"), "values or above.*Received both"),
        (LARGE.replace("above: 20", "values: {small: a, large: A}"), "each value once.*Received 'A' twice"),
        (LARGE.replace("above: 20", "values: {huge: a}"), "one of the classes small, large.*Received 'huge'"),
        (LARGE.replace("above: 20", "percent: true"), "percent with above alone"),
        (LARGE.replace("above", "abov"), "a valid labels.GSE96058.abov"),
        (LARGE + "of: nhg\n", "either labels, or of with values.*Received labels, of"),
        ("name: t\ntitle: T\nclasses: [a, b]\n", "Received neither"),
        ("name: [", "Expected YAML in task.yaml"),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=said):
        read_task(declared(tmp_path, text))


def test_what_contradicts_other_tasks_is_refused(tmp_path: Path) -> None:
    for text, said in (
        (LARGE.replace("name: large", "name: ki67"), "a new name.*'ki67', which is a task already"),
        (HIGH.replace("of: nhg", "of: stage"), "to regroup.*Received 'stage'"),
        (HIGH.replace("G3", "G4"), "classes of nhg, G1, G2, G3, in task.yaml. Received 'G4'"),
    ):
        with pytest.raises(CohortError, match=said):
            with_declared([declared(tmp_path, text)])
    twice = [declared(tmp_path, LARGE), declared(tmp_path, LARGE, "again.yaml")]
    with pytest.raises(CohortError, match=r"a new name in .*again\.yaml"):
        with_declared(twice)
    with pytest.raises(CohortError, match=r"Expected a task at .*nothing\.yaml"):
        with_declared([tmp_path / "nothing.yaml"])


def test_encode() -> None:
    task = Task("t", "T", ("a", "b"))
    assert task.encode(["b", None, "a", float("nan")]).tolist() == [1, -1, 0, -1]
    with pytest.raises(ValueError, match="Received 'c'"):
        task.encode(["c"])
