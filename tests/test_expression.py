"""Rows of a matrix, in memory and on the disk, are the same rows."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.errors import DatasetError
from aio_tune.expression import PIECE, RowFile, Rows, as_rows, mean_and_sd

X = np.random.default_rng(0).gamma(2, 2, (300, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def row_file(tmp_path_factory: pytest.TempPathFactory) -> RowFile:
    path = tmp_path_factory.mktemp("rows") / "x.f32"
    path.write_bytes(X.tobytes())
    return RowFile(path, (300, 7))


@settings(max_examples=60)
@given(rows=st.lists(st.integers(0, 299), max_size=40), at=st.lists(st.integers(0, 39), max_size=20))
def test_a_row_file_is_indexed_as_an_array(row_file: RowFile, rows: list[int], at: list[int]) -> None:
    index = np.array(rows, np.int64)
    assert row_file[index].tobytes() == X[index].tobytes()
    places = np.array([place % len(rows) for place in at], np.int64) if rows else np.array([], np.int64)
    nested = Rows(Rows(row_file, index), places)
    assert nested.shape == (len(places), 7)
    assert nested.whole().tobytes() == X[index][places].tobytes()
    assert nested[2:5].tobytes() == X[index][places][2:5].tobytes()


def test_it_can_be_pickled_and_knows_its_limits(row_file: RowFile) -> None:
    again = pickle.loads(pickle.dumps(row_file))
    assert np.array_equal(again[np.array([299, 0])], X[[299, 0]])
    for row in (-1, 300):
        with pytest.raises(IndexError, match=f"Received {row}"):
            row_file[np.array([row])]


def test_files_that_are_not_there_or_cut(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        RowFile(tmp_path / "none.f32", (2, 2))
    (tmp_path / "cut.f32").write_bytes(b"123")
    with pytest.raises(DatasetError, match=r"Expected 16 bytes .* Received 3"):
        RowFile(tmp_path / "cut.f32", (2, 2))


def test_rows_are_treated_in_order_when_they_are_read(row_file: RowFile) -> None:
    rows = as_rows(row_file).through(lambda x: x + 1).through(lambda x: x[:, :2] * 10)
    assert np.array_equal(rows[np.array([5])], (X[[5]] + 1)[:, :2] * 10)
    pieces = list(rows.pieces())
    assert [len(piece) for piece in pieces] == [PIECE] * (300 // PIECE) + [300 % PIECE]
    assert np.array_equal(np.concatenate(pieces), rows.whole())


def test_some_rows_drawn_keep_their_order() -> None:
    rows = as_rows(X)
    drawn = rows.at_most(50, seed=1)
    assert len(drawn) == 50
    assert (np.diff(drawn.rows) > 0).all()
    assert np.array_equal(drawn.rows, rows.at_most(50, seed=1).rows)
    assert not np.array_equal(drawn.rows, rows.at_most(50, seed=2).rows)
    assert rows.at_most(300, seed=1) is rows


def test_mean_and_sd_against_numpy(row_file: RowFile) -> None:
    for given_rows in (as_rows(X), as_rows(row_file)):
        mean, sd = mean_and_sd(given_rows)
        np.testing.assert_allclose(mean, X.mean(axis=0, dtype=np.float64), rtol=1e-13)
        np.testing.assert_allclose(sd, X.std(axis=0, dtype=np.float64), rtol=1e-12)
