import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_tune.calls import calls_table, write_calls
from aio_tune.cohorts import Unit
from aio_tune.errors import CohortError, EvaluationError
from aio_tune.evaluation import call_samples, predict_file
from aio_tune.evaluation.predict import missing_genes
from tests.evaluation.conftest import GENES, SIGNAL, LinearModel


def test_one_row_per_sample_in_the_promised_columns():
    table = calls_table(["a", "b"], np.array([[0.25, 0.75], [0.5, 0.5]], np.float32), ("negative", "positive"))
    assert table.to_dict("list") == {
        "sample_id": ["a", "b"],
        "call": ["positive", "negative"],
        "p_negative": [0.25, 0.5],
        "p_positive": [0.75, 0.5],
    }
    assert table["p_negative"].dtype == np.float64
    with pytest.raises(ValueError, match=r"Expected probabilities \(1, 2\)\. Received \(2, 2\)\."):
        calls_table(["a"], np.ones((2, 2)), ("negative", "positive"))


def test_samples_are_called_by_their_names(dataset):
    frame = pd.DataFrame(dataset.matrix(["C"]), columns=list(GENES), index=dataset.samples(["C"])["sample_id"])
    table = call_samples(LinearModel(), frame)
    assert list(table.columns) == ["sample_id", "call", "p_G1", "p_G2", "p_G3"]
    assert table["sample_id"].tolist() == frame.index.tolist()
    p = LinearModel().predict(frame).probabilities
    assert table[["p_G1", "p_G2", "p_G3"]].to_numpy() == pytest.approx(p)
    assert table["call"].tolist() == [("G1", "G2", "G3")[i] for i in p.argmax(axis=1)]


def test_genes_that_are_missing_are_named_in_the_models_order():
    frame = pd.DataFrame(5.0, columns=["OTHER", *GENES[:0:-1]], index=["a"])
    assert missing_genes(LinearModel(), frame) == ("GENE0", "GENE_X")
    assert missing_genes(LinearModel(), frame.assign(GENE0=1.0, GENE_X=2.0)) == ()


def test_no_sample_or_one_twice_is_refused():
    frame = pd.DataFrame(5.0, columns=list(GENES), index=["a", "b", "a"])
    with pytest.raises(EvaluationError, match=r"Received a more than once\."):
        call_samples(LinearModel(), frame)
    with pytest.raises(EvaluationError, match=r"at least one sample to call\. Received none\."):
        call_samples(LinearModel(), frame.iloc[:0])


def test_calls_are_written_whole_or_not_at_all(tmp_path):
    table = calls_table(["a", "b"], np.array([[1 / 3, 2 / 3], [1.0, 0.0]]), ("negative", "positive"))
    write_calls(table, tmp_path / "calls.csv")
    lines = (tmp_path / "calls.csv").read_text().splitlines()
    assert lines == [
        "sample_id,call,p_negative,p_positive",
        "a,positive,0.333333,0.666667",
        "b,negative,1.000000,0.000000",
    ]
    (tmp_path / "folder").mkdir()
    with pytest.raises(EvaluationError, match="Expected to write the calls to"):
        write_calls(table, tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calls.csv", "folder"]
    with pytest.raises(EvaluationError, match="Expected to write the calls to"):
        write_calls(table, tmp_path / "absent" / "calls.csv")


def test_a_failed_write_leaves_the_former_file(tmp_path, monkeypatch):
    calls_table(["a"], np.array([[0.5, 0.5]]), ("negative", "positive")).pipe(write_calls, tmp_path / "calls.csv")
    before = (tmp_path / "calls.csv").read_bytes()

    def full(self, file, **_):
        file.write("sample_id")
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(EvaluationError, match="No space left"):
        write_calls(pd.DataFrame({"sample_id": ["b"]}), tmp_path / "calls.csv")
    assert (tmp_path / "calls.csv").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["calls.csv"]


@given(
    st.integers(2, 4).flatmap(
        lambda c: st.lists(st.lists(st.floats(0.001, 1), min_size=c, max_size=c), min_size=1, max_size=8)
    )
)
def test_the_call_is_a_most_probable_class(weights):
    p = np.array(weights) / np.sum(weights, axis=1, keepdims=True)
    classes = tuple(f"c{i}" for i in range(p.shape[1]))
    table = calls_table([f"s{i}" for i in range(len(p))], p, classes)
    for row, call in zip(p, table["call"], strict=True):
        assert row[classes.index(call)] == max(row)
    assert table[[f"p_{c}" for c in classes]].sum(axis=1).to_numpy() == pytest.approx(1)


OTHER = tuple(f"OTHER{i}" for i in range(300))  # enough genes for the values to tell their unit


@pytest.fixture(scope="module")
def tpm():
    """Linear TPM of four samples, symbols in another order than the model's, a third of most genes' values 0.

    The genes that the stand-in looks at lie where it is in doubt, so that a wrong value shows in the probabilities.
    """
    rng = np.random.default_rng(3)
    symbols = [*OTHER, *reversed(GENES)]
    raw = rng.lognormal(3, 2, (4, len(symbols))) * (rng.random((4, len(symbols))) > 1 / 3)
    frame = pd.DataFrame(raw, index=["s1", "s2", "s3", "s4"], columns=symbols)
    frame[list(GENES[SIGNAL])] = 0.0
    frame *= 990_000 / frame.sum(axis=1).to_numpy()[:, None]
    frame[list(GENES[SIGNAL])] = rng.uniform(20, 150, (4, 10))
    return frame.mul(1e6 / frame.sum(axis=1), axis=0)


@pytest.fixture(scope="module")
def expected(tpm):
    return call_samples(LinearModel(), np.log2(tpm + 1).astype(np.float32))


def write(frame, path):
    if path.name.endswith(".parquet"):
        frame.rename_axis("id").to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if ".tsv" in path.name else ",")
    return path


def same(found, expected):
    assert found["sample_id"].tolist() == expected["sample_id"].tolist()
    columns = ["p_G1", "p_G2", "p_G3"]
    assert found[columns].to_numpy() == pytest.approx(expected[columns].to_numpy(), abs=1e-4)


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.tsv", "x.tsv.gz", "x.parquet"])
@pytest.mark.parametrize("genes_in", ["rows", "columns"])
def test_a_file_is_called_whichever_way_it_lies(tmp_path, tpm, expected, name, genes_in):
    path = write(tpm.T if genes_in == "rows" else tpm, tmp_path / name)
    same(predict_file(LinearModel(), path, Unit.TPM), expected)


def test_every_unit_comes_to_the_common_scale(tmp_path, tpm, expected):
    fpkm = tpm * 0.37  # TPM over the file's genes undoes any factor
    for unit, frame in (
        (Unit.TPM, tpm),
        (Unit.FPKM, fpkm),
        (Unit.LOG2_FPKM_01, np.log2(fpkm + 0.1)),
        (Unit.LOG2_TPM_1, np.log2(tpm + 1)),
    ):
        same(predict_file(LinearModel(), write(frame, tmp_path / "x.csv"), unit), expected)


def test_symbols_that_stand_there_twice_are_summed_in_linear_space(tmp_path, tpm, expected):
    doubled = pd.concat([tpm, tpm[["GENE3"]] * 0.25], axis=1).T
    doubled.iloc[list(tpm.columns).index("GENE3")] *= 0.75
    assert doubled.index.duplicated().sum() == 1
    for frame in (doubled, doubled.T):
        same(predict_file(LinearModel(), write(frame, tmp_path / "x.csv"), Unit.TPM), expected)


def test_the_values_tell_their_unit_where_they_can(tmp_path, tpm, expected):
    for frame in (np.log2(tpm + 1), np.log2(tpm + 0.1)):
        same(predict_file(LinearModel(), write(frame, tmp_path / "x.csv")), expected)


def test_a_unit_in_doubt_or_contradicted_is_refused(tmp_path, tpm):
    with pytest.raises(EvaluationError, match=r"values that may be FPKM or TPM\. .*--unit"):
        predict_file(LinearModel(), write(tpm, tmp_path / "x.csv"))
    with pytest.raises(EvaluationError, match=r"Received values from -5\d* to .* fit none\."):
        predict_file(LinearModel(), write(tpm - 50000, tmp_path / "x.csv"))
    with pytest.raises(CohortError, match=r"these look linear"):
        predict_file(LinearModel(), write(tpm, tmp_path / "x.csv"), Unit.LOG2_TPM_1)


def test_neither_axis_of_symbols_is_refused(tmp_path, tpm):
    ensembl = tpm.set_axis([f"ENSG{i:011d}" for i in range(tpm.shape[1])], axis=1)
    with pytest.raises(EvaluationError, match=r"GENE0, GENE1, GENE2, .* x\.csv\. Received none in either: rows s1"):
        predict_file(LinearModel(), write(ensembl, tmp_path / "x.csv"), Unit.TPM)
    square = pd.DataFrame(5.0, index=list(GENES), columns=list(GENES))
    with pytest.raises(EvaluationError, match="30 in both"):
        predict_file(LinearModel(), write(square, tmp_path / "x.csv"), Unit.TPM)


def test_a_bad_file_is_refused_by_name(tmp_path, tpm):
    with pytest.raises(CohortError, match=r"absent\.csv"):
        predict_file(LinearModel(), tmp_path / "absent.csv", Unit.TPM)
    cut = write(tpm, tmp_path / "cut.csv.gz")
    cut.write_bytes(cut.read_bytes()[:-200])
    with pytest.raises(CohortError, match=r"cut\.csv\.gz, which is truncated"):
        predict_file(LinearModel(), cut, Unit.TPM)
    twice = tpm.set_axis(["s1", "s2", "s1", "s4"])
    for frame in (twice, twice.T):
        with pytest.raises(CohortError, match=r"each sample once in x\.csv\. Received 's1' more than once"):
            predict_file(LinearModel(), write(frame, tmp_path / "x.csv"), Unit.TPM)
