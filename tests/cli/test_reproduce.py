"""reproduce: what the files at hand allow, and no more."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from aio_tune.reproduce import SearchResult, Verdict, network_items, search_result
from aio_tune.reproduce.clinical import TABLE_ONE, clinical_items
from aio_tune.reproduce.networks import CLAIMS, ExternalTest
from aio_tune.tracking import StoredEvaluation
from tests.cli.conftest import Run

KI67 = CLAIMS[0]


def test_simulated_files_are_not_the_papers(aio: Run, simulated: Path) -> None:
    status, out, err = aio("reproduce", simulated, "--json")
    assert status == 1
    assert "Expected the paper's numbers. Received others for" in err
    items = json.loads(out)
    first = items[0]
    assert (first["where"], first["paper"], first["verdict"]) == ("Table 1", "568 / 795 / 1,613", "fail")
    assert first["here"] != first["paper"]
    correlation = next(item for item in items if "Pearson" in item["what"])
    assert correlation["verdict"] == "not possible"
    assert "of 2,976 profiles" in correlation["note"], "too few to be the paper's"


def test_a_missing_file_is_named(aio: Run, geo: Path) -> None:
    for file in geo.rglob("GSE81538*"):
        file.unlink()
    _, out, _ = aio("reproduce", geo, "--json")
    items = [item for item in json.loads(out) if item["what"].startswith("GSE81538")]
    assert items
    assert {item["verdict"] for item in items} == {"not possible"}
    assert all("no GSE81538*series_matrix.txt*" in item["note"] for item in items)


def test_what_the_paper_counts_on_both_sequencers_is_not_counted_on_one(geo: Path) -> None:
    next(geo.rglob("GSE96058*GPL18573*series_matrix*")).unlink()
    items = [item for item in clinical_items([geo]) if "SCAN-B" in item.what]
    assert [item.verdict for item in items] == [Verdict.NOT_POSSIBLE] * 2
    assert all("not both of GSE96058" in item.note for item in items)


def test_nothing_known(aio: Run, tmp_path: Path) -> None:
    status, _, err = aio("reproduce", tmp_path)
    assert (status, len(err.splitlines())) == (1, 1)
    assert "aio-tune fetch" in err
    status, _, err = aio("reproduce", tmp_path / "absent")
    assert "Expected a folder" in err


def test_a_damaged_file_is_one_line(aio: Run, geo: Path) -> None:
    matrix = next(geo.rglob("GSE81538*series_matrix*"))
    matrix.write_bytes(gzip.compress(b"!Sample_title\n")[:-5])
    status, _, err = aio("reproduce", geo)
    assert (status, len(err.splitlines())) == (1, 1)
    assert "GSE81538" in err


def test_a_search_that_does_not_exist(aio: Run, simulated: Path, tmp_path: Path) -> None:
    status, _, err = aio("reproduce", simulated, "--search", "x", "--home", tmp_path)
    assert status == 1
    assert "Expected the name of a search" in err


def search(accuracy: tuple[float, float], auc: tuple[float, float], **changes: object) -> SearchResult:
    facts = {"name": "s", "task": "ki67", "train": ("GSE96058",), "patients": 1363,
             "cross_validated": {"": {"accuracy": accuracy, "auc": auc}}}  # fmt: skip
    return SearchResult(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (search((0.821, 0.02), (0.891, 0.02)), Verdict.PASS),
        (search((0.9, 0.02), (0.95, 0.02)), Verdict.PASS),
        # Two standard deviations of both together: 2 * hypot(.023, .02) = .061 below .821.
        (search((0.761, 0.02), (0.891, 0.02)), Verdict.PASS),
        (search((0.759, 0.02), (0.891, 0.02)), Verdict.FAIL),
        (search((0.9, 0.02), (0.8, 0.02)), Verdict.FAIL),
        (search((0.9, 0.02), (0.95, 0.02), patients=136), Verdict.OTHER_WORK),
        (search((0.1, 0.02), (0.1, 0.02), patients=136), Verdict.OTHER_WORK),
        (search((0.9, 0.02), (0.95, 0.02), simulated=True), Verdict.OTHER_WORK),
        (search((0.9, 0.02), (0.95, 0.02), train=("GSE96058", "GSE81538")), Verdict.NOT_POSSIBLE),
        (search((0.9, 0.02), (0.95, 0.02), task="nhg"), Verdict.NOT_POSSIBLE),
    ],
)
def test_networks_are_held_against_the_same_work_alone(found: SearchResult, verdict: Verdict) -> None:
    (item,) = [one for one, claim in zip(network_items([found]), CLAIMS, strict=True) if claim is KI67]
    assert item.verdict == verdict
    assert item.note


@pytest.mark.parametrize(
    ("test", "verdict", "said"),
    [
        (ExternalTest({"accuracy": (0.8, 0.02), "auc": (0.9, 0.02)}, 405), Verdict.PASS, "two standard deviations"),
        (ExternalTest({"accuracy": (0.8, 0.02), "auc": (0.9, 0.02)}, 405, False), Verdict.PASS, "standard deviations"),
        (ExternalTest({"accuracy": (0.6, 0.02), "auc": (0.9, 0.02)}, 405, False), Verdict.FAIL, "not so accuracy"),
        (ExternalTest({"accuracy": (0.8, 0.02), "auc": (0.9, 0.02)}, 30), Verdict.OTHER_WORK,
         "tested on 30 patients of GSE81538, the paper on 405"),
        (ExternalTest({"accuracy": (0.1, 0.02), "auc": (0.1, 0.02)}, 30), Verdict.OTHER_WORK, "tested on 30"),
        (ExternalTest({"accuracy": (0.8, 0.02), "auc": (0.9, 0.02)}, 405, True), Verdict.OTHER_WORK,
         "simulated patients of GSE81538"),
    ],
)  # fmt: skip
def test_who_was_tested_is_looked_at_too(test: ExternalTest, verdict: Verdict, said: str) -> None:
    found = search((0.9, 0.02), (0.95, 0.02), external={"GSE81538": test})
    (item,) = [one for one, claim in zip(network_items([found]), CLAIMS, strict=True) if claim is CLAIMS[1]]
    assert (item.verdict, said in item.note) == (verdict, True)
    assert item.here.startswith(f"{test.metrics['accuracy'][0]:.3f}")


def test_the_papers_test_patients_are_those_of_its_table_one() -> None:
    for claim in CLAIMS:
        *counts, _ = TABLE_ONE[claim.test][claim.task].split(" / ") if claim.test else ("0", "")
        assert claim.tested == sum(map(int, counts)), claim.where


def test_the_tested_are_the_labelled_calls_of_an_evaluation() -> None:
    calls = pd.DataFrame({"sample_id": ["a", "b", "c"], "truth": ["positive", None, "negative"]})
    metrics = {"fold_auc_mean": 0.8, "fold_auc_sd": 0.01, "auc": 0.9}
    best = SimpleNamespace(cv={})
    started = {"name": "s", "settings": {"task": "ki67", "train_on": ["GSE96058"]}, "class_counts": {"negative": 2},
               "dataset": {"simulated": False}}  # fmt: skip
    state = SimpleNamespace(best=best, confirmed={}, ranked=list, started=started)
    evaluations = [StoredEvaluation("GSE81538", metrics, calls, "f", True), StoredEvaluation("B", metrics, calls, "f")]
    found = search_result(state, evaluations).external  # type: ignore[arg-type]
    assert found == {
        "GSE81538": ExternalTest({"auc": (0.8, 0.01)}, 2, True),
        "B": ExternalTest({"auc": (0.8, 0.01)}, 2),
    }


def test_without_searches_no_network_is_judged() -> None:
    assert {item.verdict for item in network_items([])} == {Verdict.NOT_POSSIBLE}


@pytest.mark.real
def test_the_real_files_give_what_they_can(aio: Run, real_data: Path) -> None:
    status, out, err = aio("reproduce", real_data, "--json")
    assert (status, err) == (0, "")
    found = {item["what"]: (item["here"], item["verdict"]) for item in json.loads(out)}
    passed = {what: here for what, (here, verdict) in found.items() if verdict == "pass"}
    assert passed == {
        "GSE96058, Ki67 status: negative, positive, missing": "568 / 795 / 1,613",
        "GSE96058, Nottingham histologic grade: G1, G2, G3, missing": "449 / 1,394 / 1,074 / 59",
        "overall survival by pathologists' Ki67: patients, log-rank p": "1,363, 0.014",
        "accuracy of SCAN-B's ki67 prediction mgc by the pathologists' Ki67": "0.663",
        "accuracy of SCAN-B's ki67 prediction sgc by the pathologists' Ki67": "0.767",
    }
    assert {verdict for _, verdict in found.values()} == {"pass", "not possible"}
