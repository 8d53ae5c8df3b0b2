"""Contract suite of the scalings, and of the preprocessor for every scaling, layout and harmoniser."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from aio_tune.errors import RegistryError, TrialError
from aio_tune.harmonise import HARMONISERS, LEAST_BATCH
from aio_tune.layout import LAYOUTS
from aio_tune.preprocess import Preprocessor
from aio_tune.scaling import CLIP, SCALINGS, SD_FLOOR

GOLDEN = Path(__file__).parent / "golden" / "preprocess_v1.npz"
GOLDEN_2 = GOLDEN.with_name("preprocess_v2.npz")
EVERY = pytest.mark.parametrize(("scaling", "layout"), [(s, y) for s in SCALINGS for y in (*LAYOUTS, "7x7x1")])
HARMONISED = pytest.mark.parametrize(
    ("harmoniser", "scaling", "layout"),
    [(h, s, "square") for h in HARMONISERS for s in SCALINGS] + [(h, "zscore", "coexpression") for h in HARMONISERS],
)


def expression(n: int, n_genes: int, seed: int = 0) -> np.ndarray:
    """log2(TPM+1) of a kind: no negatives, many zeros."""
    x = np.random.default_rng(seed).normal(2, 2, size=(n, n_genes))
    return np.maximum(x, 0).astype(np.float32)


def fitted_bytes(preprocessor: Preprocessor, path: Path) -> bytes:
    preprocessor.save(path)
    return path.read_bytes()


@EVERY
@given(seed=st.integers(0, 1000), factor=st.floats(-100, 100))
@settings(max_examples=4, deadline=None)
def test_changing_test_rows_changes_nothing_in_the_fitted_state(
    scaling: str, layout: str, seed: int, factor: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fitted")
    x = expression(14, 40, seed)
    train, test = np.arange(10), np.arange(10, 14)
    before = fitted_bytes(Preprocessor.fit(scaling, layout, x[train], seed), folder / "before.npz")
    x[test] = x[test] * np.float32(factor) + 1
    after = Preprocessor.fit(scaling, layout, x[train], seed)
    assert fitted_bytes(after, folder / "after.npz") == before
    pictures = after.transform(x[train])
    np.testing.assert_array_equal(after.transform(x)[train], pictures)  # rows do not affect one another either


@pytest.mark.parametrize("scaling", [name for name in SCALINGS if name != "rank"])
def test_changing_training_rows_does_change_it(scaling: str, tmp_path: Path) -> None:
    x = expression(10, 40)
    before = fitted_bytes(Preprocessor.fit(scaling, "square", x, 0), tmp_path / "a.npz")
    x[3] += 20
    assert fitted_bytes(Preprocessor.fit(scaling, "square", x, 0), tmp_path / "a.npz") != before


@EVERY
def test_save_and_load_give_the_same_bits(scaling: str, layout: str, tmp_path: Path) -> None:
    x = expression(10, 40)
    fitted = Preprocessor.fit(scaling, layout, x, 1)
    fitted.save(tmp_path / "p.npz")
    loaded = Preprocessor.load(tmp_path / "p.npz")
    assert loaded.layout == fitted.layout
    assert loaded.shape == fitted.shape
    assert type(loaded.scaling) is SCALINGS[scaling]
    for name, array in fitted.scaling.state().items():
        assert loaded.scaling.state()[name].dtype == array.dtype
        assert loaded.scaling.state()[name].tobytes() == array.tobytes()
    other = expression(3, 40, seed=9)
    assert loaded.transform(other).tobytes() == fitted.transform(other).tobytes()


@HARMONISED
def test_every_harmoniser_goes_before_scaling_and_layout(
    harmoniser: str, scaling: str, layout: str, tmp_path: Path
) -> None:
    train, target = expression(20, 40), expression(LEAST_BATCH, 40, seed=9)
    fitted = Preprocessor.fit(scaling, layout, train, 1, harmoniser=harmoniser)
    alone = HARMONISERS[harmoniser].fit(train)
    after = Preprocessor.fit(scaling, layout, alone.reference(train), 1)  # the same in two steps
    np.testing.assert_array_equal(fitted.transform_training(train), after.transform(alone.reference(train)))
    np.testing.assert_array_equal(fitted.transform_training(train[3:5]), fitted.transform_training(train)[3:5])
    pictures = fitted.transform(target)
    np.testing.assert_array_equal(pictures, after.transform(alone.transform(target)))
    np.testing.assert_array_equal(pictures, fitted.draw(fitted.harmonise(target)))
    assert pictures.dtype == np.float32
    assert np.isfinite(pictures).all()
    fitted.save(tmp_path / "p.npz")
    loaded = Preprocessor.load(tmp_path / "p.npz")
    assert type(loaded.harmoniser) is HARMONISERS[harmoniser]
    assert loaded.layout == fitted.layout
    assert loaded.transform(target).tobytes() == pictures.tobytes()
    assert fitted_bytes(loaded, tmp_path / "again.npz") == (tmp_path / "p.npz").read_bytes()


@HARMONISED
def test_rows_outside_training_do_not_change_the_fit_of_a_harmoniser(
    harmoniser: str, scaling: str, layout: str, tmp_path: Path
) -> None:
    x = expression(40, 40)
    before = fitted_bytes(Preprocessor.fit(scaling, layout, x[:20], 1, harmoniser=harmoniser), tmp_path / "a.npz")
    x[20:] *= -3
    fitted = Preprocessor.fit(scaling, layout, x[:20], 1, harmoniser=harmoniser)
    fitted.transform(x[20:])
    assert fitted_bytes(fitted, tmp_path / "b.npz") == before


def test_only_a_transductive_harmoniser_refuses_a_single_sample() -> None:
    x = expression(20, 9)
    for name, harmoniser in HARMONISERS.items():
        fitted = Preprocessor.fit("zscore", "square", x, 0, harmoniser=name)
        assert fitted.least_batch == (LEAST_BATCH if harmoniser.transductive else 0)
        assert fitted.transform_training(x[:1]).shape == (1, 3, 3, 1)
        if harmoniser.transductive:
            with pytest.raises(ValueError, match=r"at least 10 samples of one cohort .* Received 1\."):
                fitted.transform(x[:1])
        else:
            np.testing.assert_array_equal(fitted.transform(x[:1]), fitted.transform(x)[:1])


@EVERY
def test_pictures_hold_the_scaled_genes_and_zero_at_padding(scaling: str, layout: str) -> None:
    x = expression(10, 40)
    x.setflags(write=False)
    fitted = Preprocessor.fit(scaling, layout, x, 1)
    pictures = fitted.transform(x)
    assert pictures.dtype == np.float32
    assert pictures.shape == (10, *fitted.shape)
    assert (pictures[:, ~fitted.layout.mask] == 0).all()
    np.testing.assert_array_equal(fitted.layout.to_genes(pictures), fitted.scaling.transform(x))
    assert np.isfinite(fitted.transform(x * 1000)).all()


def test_minmax_by_hand() -> None:
    x = np.array([[0, 1, 3], [4, 1, 5]], dtype=np.float32)
    scaling = SCALINGS["minmax"].fit(x)
    expected = [[0, 0, 0], [1, 0, 1], [0.25, 0, 0.5], [1, 0, 0]]
    new = np.array([[1, 7, 4], [9, 1, -2]], dtype=np.float32)
    np.testing.assert_allclose(scaling.transform(np.vstack([x, new])), expected, atol=1e-6)


def test_zscore_against_scikit_learn() -> None:
    from sklearn.preprocessing import StandardScaler

    x, new = expression(30, 50), expression(8, 50, seed=1) * 3
    expected = StandardScaler().fit(x.astype(np.float64)).transform(new.astype(np.float64)).clip(-CLIP, CLIP)
    np.testing.assert_allclose(SCALINGS["zscore"].fit(x).transform(new), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() == CLIP  # the limit was met


def test_zscore_does_not_blow_up_genes_that_hardly_vary() -> None:
    x = np.zeros((4, 2), dtype=np.float32)
    x[0, 1] = 1e-4
    scores = SCALINGS["zscore"].fit(x).transform(x + np.float32(0.01))
    assert np.abs(scores).max() < 0.02 / SD_FLOOR


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
@settings(deadline=None)
def test_rank_against_scipy(values: list[int]) -> None:
    x = np.array([values], dtype=np.float32)
    half = (len(values) - 1) / 2
    expected = (rankdata(values) - 1) / half - 1
    np.testing.assert_allclose(SCALINGS["rank"].fit(x).transform(x)[0], expected, atol=1e-6)


def test_rank_does_not_see_another_platforms_scale() -> None:
    x = expression(5, 40)
    scaling = SCALINGS["rank"].fit(x)
    np.testing.assert_array_equal(scaling.transform(x), scaling.transform(np.exp(x / 2)))
    assert scaling.transform(x[:, :1]).tolist() == [[0.0]] * 5


def test_bad_arguments_are_refused() -> None:
    x = expression(5, 9)
    with pytest.raises(TrialError, match="Expected a scaling"):
        Preprocessor.fit("z-score", "square", x, 0)
    with pytest.raises(TrialError, match="Expected a harmoniser, one of none, rank, quantile"):
        Preprocessor.fit("zscore", "square", x, 0, harmoniser="combatt")
    with pytest.raises(TrialError, match="Expected a layout"):
        Preprocessor.fit("zscore", "squares", x, 0)
    with pytest.raises(TrialError, match="at most 4 genes"):
        Preprocessor.fit("zscore", "2x2x1", x, 0)
    with pytest.raises(ValueError, match="training rows"):
        Preprocessor.fit("zscore", "square", x[:0], 0)
    fitted = Preprocessor.fit("zscore", "square", x, 0)
    with pytest.raises(ValueError, match=r"Expected shape \(n, 9\)"):
        fitted.transform(x[:, :8])
    x[1, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        fitted.transform(x)
    with pytest.raises(ValueError, match="finite"):
        Preprocessor.fit("zscore", "square", x, 0)


def rewrite(path: Path, **changed: np.ndarray | None) -> None:
    with np.load(GOLDEN, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files} | changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def header(**changed: object) -> np.ndarray:
    return np.array(json.dumps({"format": "aio_tune preprocessor", "version": 1, "scaling": "zscore"} | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"header": header(version=5)},
        {"header": header(version=3, harmoniser="none")},  # and names no kinds
        {"header": header(version=3, harmoniser="none", kinds=["expression", "methylation"])},  # without its arrays
        {"header": header(version=0)},
        {"header": header(version="1")},
        {"header": header(version=2)},  # and names no harmoniser
        {"header": header(version=2, harmoniser="unknown")},
        {"header": header(version=2, harmoniser="quantile")},  # whose array is missing
        {"header": header(format="another")},
        {"header": header(scaling="unknown")},
        {"header": np.array("no JSON")},
        {"header": np.array("[1]")},
        {"header": None},
        {"scaling_mean": None},
        {"layout_order": None},
        {"layout_order": np.zeros(36, dtype=np.int32)},
        {"scaling_mean": np.array([object()])},
    ],
    ids=lambda changed: "-".join(f"{name}-{'gone' if value is None else 'bad'}" for name, value in changed.items()),
)
def test_other_files_are_refused(changed: dict[str, np.ndarray | None], tmp_path: Path) -> None:
    rewrite(tmp_path / "p.npz", **changed)
    with pytest.raises(RegistryError):
        Preprocessor.load(tmp_path / "p.npz")


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    for content in (b"", b"PK\x03\x04", GOLDEN.read_bytes()[:500], b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(RegistryError, match=r"p\.npz"):
            Preprocessor.load(path)
    with pytest.raises(RegistryError, match="missing"):
        Preprocessor.load(tmp_path / "missing.npz")


def test_version_1_loads_for_good() -> None:
    """The golden file was fitted on ``golden_rows`` with zscore and shuffled, seed 1; it is never written again."""
    loaded = Preprocessor.load(GOLDEN)
    assert loaded.scaling.name == "zscore"
    assert loaded.layout.name == "shuffled"
    assert loaded.harmoniser.name == "none"
    assert loaded.shape == (6, 6, 1)
    pictures = loaded.transform(golden_rows())
    # Computed by hand: 30 genes whose values are 0, 1 and 2 plus the gene's index; mean 1 + index, sd sqrt(2/3).
    expected = np.repeat([[-1.0], [0], [1]], 30, axis=1) / np.sqrt(2 / 3)
    np.testing.assert_allclose(loaded.layout.to_genes(pictures), expected, atol=1e-5)
    assert [loaded.layout.gene_at((0, column, 0)) for column in range(6)] == [21, 16, 7, 1, 3, 28]
    assert loaded.layout.mask.sum() == 30


def test_version_2_loads_for_good() -> None:
    """As the golden file of version 1, and with fsqn; it is never written again."""
    loaded = Preprocessor.load(GOLDEN_2)
    assert (loaded.harmoniser.name, loaded.scaling.name, loaded.layout.name) == ("fsqn", "zscore", "shuffled")
    # Eleven samples get the quantiles 0, 0.1, ... 1 of the three training values 0, 1, 2 plus the gene's index.
    target = np.linspace(100, 50, 11, dtype=np.float32)[:, None] + np.zeros(30, dtype=np.float32)
    expected = np.repeat(np.linspace(2, 0, 11)[:, None] - 1, 30, axis=1) / np.sqrt(2 / 3)
    np.testing.assert_allclose(loaded.layout.to_genes(loaded.transform(target)), expected, atol=1e-5)
    expected = np.repeat([[-1.0], [0], [1]], 30, axis=1) / np.sqrt(2 / 3)
    np.testing.assert_allclose(loaded.layout.to_genes(loaded.transform_training(golden_rows())), expected, atol=1e-5)


def golden_rows() -> np.ndarray:
    return (np.arange(3)[:, None] + np.arange(30)).astype(np.float32)
