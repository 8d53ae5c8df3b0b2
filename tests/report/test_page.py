"""The page: whole, escaped, alone."""

import base64
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from aio_tune.errors import EvaluationError
from aio_tune.figures import curves_figure, history_figure
from aio_tune.report import Figure, Section, Table, render, write_page

HOSTILE = '<script>alert("x")</script> & "quoted"'


def page() -> str:
    data = pd.DataFrame({"trial": [0, 1], "value": [0.5, 0.75]})
    drawing = history_figure({"COMPLETE": {0: 0.5, 1: 0.75}}, {0: 0.5, 1: 0.75}, "auc", HOSTILE)
    table = Table(HOSTILE, ["", HOSTILE], [[HOSTILE, "0.5"]], note=HOSTILE)
    section = Section(HOSTILE, [HOSTILE], [table], [Figure("Values.", drawing, HOSTILE, data)])
    return render(HOSTILE, HOSTILE, [section, Section("Empty")])


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(html)
    return parser.found


def test_names_from_users_are_escaped() -> None:
    found = elements(page())
    assert "script" not in {tag for tag, _ in found}
    (picture,) = [attributes for tag, attributes in found if tag == "img"]
    assert picture["alt"] == HOSTILE


def test_nothing_is_asked_of_anybody() -> None:
    html = page()
    addresses = [
        value for _, attributes in elements(html) for name, value in attributes.items() if name in ("src", "href")
    ]
    assert addresses
    assert all(value and value.startswith(("data:", "#")) for value in addresses)
    assert "default-src 'none'" in html
    assert not re.search(r"@import|url\(", html)


def test_data_of_tables_and_figures_can_be_taken_away() -> None:
    links = [attributes for tag, attributes in elements(page()) if tag == "a" and "download" in attributes]
    texts = [base64.b64decode((link["href"] or "").partition("base64,")[2]).decode() for link in links]
    assert texts[1] == "trial,value\n0,0.5\n1,0.75\n"
    assert len(texts) == 2
    assert links[1]["download"] == "values.csv"


def test_links_of_the_page_lead_somewhere() -> None:
    found = elements(page())
    anchors = {attributes["id"] for _, attributes in found if "id" in attributes}
    links = [
        attributes["href"] for tag, attributes in found if tag == "a" and (attributes["href"] or "").startswith("#")
    ]
    assert len(links) == 2
    assert {str(link)[1:] for link in links} <= anchors


def test_the_same_study_gives_the_same_page() -> None:
    assert page() == page()


def test_wide_figures_are_told_apart() -> None:
    data = pd.DataFrame({"a": [1]})
    wide = curves_figure({name: {"0": {1: 0.5}} for name in ("train_loss", "valid_loss", "valid_auc")}, "c")
    narrow = history_figure({}, {}, "auc", "h")
    width, height = narrow.get_size_inches()
    assert Figure("", wide, "", data).wide
    assert Figure("", narrow, "", data).wide == (width > 1.8 * height)


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("before")
    write_page("after", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "after"
    with pytest.raises(EvaluationError, match="Expected to write the report"):
        write_page("x", tmp_path / "absent" / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_paper_is_beside_the_study_and_only_the_same_work_is_held_against_it() -> None:
    from types import SimpleNamespace

    from aio_tune.report.findings import paper
    from aio_tune.reproduce import Item, Verdict

    items = [
        Item("Table 1", "counts", "1 / 2", "1 / 2", Verdict.PASS),
        Item("Table 2", "Ki67", "0.821", "0.801", Verdict.OTHER_WORK, "136 of 1,363 patients"),
        Item("Table 2", "tested", "0.826", "", Verdict.NOT_POSSIBLE, "no such evaluation"),
    ]
    section = paper(SimpleNamespace(paper=items))  # type: ignore[arg-type]
    assert section.paragraphs[0].startswith("1 of these 3 numbers come of the same patients")
    assert section.tables[0].rows == [
        ["Table 1", "counts", "1 / 2", "1 / 2", "pass"],
        ["Table 2", "Ki67", "0.821", "0.801", "not the same work: 136 of 1,363 patients"],
        ["Table 2", "tested", "0.826", "-", "not possible: no such evaluation"],
    ]


@pytest.mark.parametrize(
    ("lost", "chosen", "said"),
    [
        (0.2, "denoise", "costs 0.200 of AUC without a harmoniser; chosen: denoise, which wins 50% of that back."),
        (0.2, "none", "costs 0.200 of AUC without a harmoniser; chosen: none."),
        (-0.1, "none", "there is nothing to win back."),
        (math.nan, "none", "is not known: the AUC is not defined on this cohort."),
    ],
)
def test_harmonisers_are_told_apart_and_what_they_won(lost: float, chosen: str, said: str) -> None:
    from types import SimpleNamespace

    from aio_tune.report.findings import harmonisation
    from aio_tune.tracking import StoredHarmonisation

    means = {f"{name}_auc_{part}": 0.75 for name in ("inside", "rehearsed", "outside") for part in ("mean", "sd")}
    interval = {"ensemble_auc": 0.7, "ensemble_auc_low": 0.6, "ensemble_auc_high": 0.8}
    table = pd.DataFrame(
        {"harmoniser": name, "kind": "single-sample", "chosen": name == chosen, **means, **interval, "won_back": back}
        for name, back in (("none", 0.0), ("denoise", 0.5))
    )
    # What is not defined is not in the store.
    metrics = {"won_back": 0.5, "tested_on": 1234.0} | ({} if math.isnan(lost) else {"lost": lost})
    study = SimpleNamespace(harmonisations=[StoredHarmonisation("B", metrics, table, chosen)])
    (shown,) = harmonisation(study).tables  # type: ignore[arg-type]
    assert shown.caption == "Harmonisers for B, AUC, 1,234 samples"
    assert shown.note.endswith(said)
    names = [row[0] for row in shown.rows]
    assert names == [f"> {name}" if name == chosen else name for name in ("none", "denoise")]
    assert [row[-1] for row in shown.rows] == ["", "0.500"]


def gene_table(**more: object) -> pd.DataFrame:
    table = pd.DataFrame({"symbol": ["MKI67", "ESR1"], "attribution": [0.5, 0.25], "direction_positive": [1.0, -1.0]})
    return table.assign(**more)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("integrated-gradients", "integrated gradients: mean absolute change of the log-odds against the mean"),
        ("occlusion", "occlusion: mean absolute change of the log-odds when a block of genes"),
        ("a-later-method", "Attribution by a-later-method. direction: above 0"),
    ],
)
def test_genes_are_explained_as_their_method_wants(method: str, said: str) -> None:
    from aio_tune.report.findings import genes

    (shown,) = genes(gene_table(method=method, model="aio-ki67-ensemble version 3")).tables
    assert shown.caption == "The 2 genes that drive the calls of aio-ki67-ensemble version 3 most"
    assert shown.columns == ["symbol", "attribution", "direction_positive"]
    assert said in shown.note
    assert "direction: above 0 a high value speaks for the class." in shown.note


def test_of_grad_cam_neither_log_odds_nor_directions_are_claimed() -> None:
    from aio_tune.report.findings import genes

    (shown,) = genes(gene_table(direction_positive=math.nan, method="grad-cam", model="m version 1")).tables
    assert shown.columns == ["symbol", "attribution"]
    assert "Grad-CAM" in shown.note and "log-odds" not in shown.note and "direction" not in shown.note


def test_of_genes_without_a_method_nothing_is_claimed() -> None:
    from aio_tune.report.findings import genes

    (shown,) = genes(gene_table()).tables
    assert shown.caption == "The 2 genes that drive the calls most"
    assert "Attribution" not in shown.note and "log-odds" not in shown.note
    (mixed,) = genes(gene_table(method=["occlusion", "grad-cam"])).tables
    assert "Attribution" not in mixed.note


def test_what_is_refused_as_overlap_is_not_overstated() -> None:
    from types import SimpleNamespace

    from aio_tune.report.findings import external
    from aio_tune.tracking import StoredEvaluation

    calls = pd.DataFrame({"call": ["a", "b"], "truth": ["a", "b"], "p_a": [0.9, 0.2], "p_b": [0.1, 0.8]})
    study = SimpleNamespace(evaluations=[StoredEvaluation("B", {"auc": 1.0}, calls, "")], classes=("a", "b"))
    (text,) = external(study).paragraphs  # type: ignore[arg-type]
    assert "by profile where the dataset has the model's genes in the model's order" in text
