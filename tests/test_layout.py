"""Contract suite of the layouts: every member of LAYOUTS keeps the promises of LayoutMaker."""

import os
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.errors import TrialError
from aio_tune.layout import LAYOUTS, Layout, get_maker, grid_shape, make_layout
from aio_tune.layout import cache as layout_cache
from aio_tune.layout.coexpression import Coexpression, to_grid

FREE = [name for name, maker in LAYOUTS.items() if not maker.fitted]
FITTED = [name for name, maker in LAYOUTS.items() if maker.fitted]


def expression(n_genes: int, n: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, 2, size=(n, n_genes)).astype(np.float32)


def check_layout(layout: Layout, n_genes: int) -> None:
    assert layout.shape == grid_shape(layout.name, n_genes)
    assert layout.n_genes == n_genes
    assert int(layout.mask.sum()) == n_genes
    for gene in {0, n_genes // 2, n_genes - 1}:
        assert layout.gene_at(layout.pixel_of(gene)) == gene
    for pixel in np.ndindex(layout.shape):
        gene = layout.gene_at(pixel)
        assert (gene is None) == (not layout.mask[pixel])
        if gene is not None:
            assert layout.pixel_of(gene) == pixel
    x = expression(n_genes, n=2)
    images = layout.to_image(x, fill=-7)
    assert images.shape == (2, *layout.shape)
    assert images.dtype == np.float32
    assert (images[:, ~layout.mask] == -7).all()
    np.testing.assert_array_equal(layout.to_genes(images), x)
    np.testing.assert_array_equal(images[(0, *layout.pixel_of(n_genes - 1))], x[0, -1])


@pytest.mark.parametrize("name", FREE)
@given(n_genes=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_pixel_to_gene_to_pixel_is_the_identity(name: str, n_genes: int, seed: int) -> None:
    check_layout(make_layout(name, expression(n_genes, n=1), seed), n_genes)


@pytest.mark.parametrize("name", FITTED)
@given(n_genes=st.integers(1, 120), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_the_same_for_fitted_layouts(name: str, n_genes: int, seed: int) -> None:
    check_layout(make_layout(name, expression(n_genes, n=6, seed=seed), seed), n_genes)


@pytest.mark.parametrize(("height", "width", "channels"), [(5, 7, 1), (3, 4, 4), (6, 2, 3)])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_sizes(height: int, width: int, channels: int, data: st.DataObject) -> None:
    n_genes = data.draw(st.integers(1, height * width * channels))
    check_layout(make_layout(f"{height}x{width}x{channels}", expression(n_genes, n=1), 0), n_genes)


def test_shapes_of_the_paper() -> None:
    assert grid_shape("square", 16_384) == (128, 128, 1)
    assert grid_shape("stacked", 16_384) == (64, 64, 4)
    assert grid_shape("1d", 16_384) == (16_384, 1)
    for name, alias in (("square", "128x128x1"), ("stacked", "64x64x4")):
        x = expression(16_384, n=1)
        np.testing.assert_array_equal(make_layout(name, x, 0).to_image(x), make_layout(alias, x, 0).to_image(x))


@given(n_genes=st.integers(1, 10**9))
def test_grids_are_the_smallest(n_genes: int) -> None:
    side, _, _ = grid_shape("square", n_genes)
    assert (side - 1) ** 2 < n_genes <= side**2
    side, _, channels = grid_shape("stacked", n_genes)
    assert (side - 1) ** 2 * channels < n_genes <= side**2 * channels


def test_stacked_puts_consecutive_genes_on_one_pixel() -> None:
    layout = make_layout("stacked", expression(16), 0)
    assert [layout.pixel_of(gene) for gene in range(5)] == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 1, 0)]


def test_a_plain_reshape_does_not_copy() -> None:
    x = expression(16_384, n=2)
    assert np.shares_memory(make_layout("square", x, 0).to_image(x), x)


@pytest.mark.parametrize("name", LAYOUTS)
def test_same_seed_same_layout(name: str) -> None:
    x = expression(60)
    assert make_layout(name, x, 3) == make_layout(name, x.copy(), 3)


@pytest.mark.parametrize("name", ["shuffled", *FITTED])
def test_another_seed_another_layout(name: str) -> None:
    x = expression(60)
    assert len({make_layout(name, x, seed).order.tobytes() for seed in range(8)}) == 8


@pytest.mark.parametrize("name", ["", "sqare", "0x5x1", "5x5", "5x5x1x1", "-5x5x1", "5x5x1\n"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(TrialError, match="Expected a layout"):
        grid_shape(name, 10)


def test_genes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TrialError, match=r"at most 25 genes for layout 5x5x1\. Received 26"):
        make_layout("5x5x1", expression(26), 0)


def test_wrong_shapes_and_pixels_are_refused() -> None:
    layout = make_layout("square", expression(10), 0)
    with pytest.raises(ValueError, match="Expected shape"):
        layout.to_image(expression(11))
    with pytest.raises(ValueError, match="Expected shape"):
        layout.to_genes(np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="invalid entry"):
        layout.gene_at((4, 0, 0))
    with pytest.raises(IndexError):
        layout.pixel_of(10)
    with pytest.raises(ValueError, match="missing or repeated"):
        Layout("square", (2, 2, 1), np.array([0, 0, 1, -1], dtype=np.int32))


# --- co-expression ---------------------------------------------------------------------------------------------------


def modules(n: int = 60, n_modules: int = 12, size: int = 30, seed: int = 0) -> np.ndarray:
    """Genes in modules that share a factor, dealt over the genome at random; shape (n, n_modules * size)."""
    rng = np.random.default_rng(seed)
    factors = np.repeat(rng.normal(size=(n, n_modules)), size, axis=1)
    x = 5 + factors + 0.5 * rng.normal(size=factors.shape)
    return x[:, rng.permutation(x.shape[1])].astype(np.float32)


def neighbour_correlation(layout: Layout, x: np.ndarray) -> float:
    """Mean Pearson correlation of genes that are neighbours in a row or column; computed pair by pair of pixels."""
    r = np.corrcoef(x.T)
    genes = np.where(layout.mask, layout.order.reshape(layout.shape), -1)[..., 0]
    pairs = np.concatenate(
        [
            np.column_stack([genes[:, :-1].ravel(), genes[:, 1:].ravel()]),
            np.column_stack([genes[:-1].ravel(), genes[1:].ravel()]),
        ]
    )
    pairs = pairs[(pairs >= 0).all(axis=1)]
    return float(r[pairs[:, 0], pairs[:, 1]].mean())


def test_coexpressed_genes_become_neighbours() -> None:
    x = modules()
    together = neighbour_correlation(make_layout("coexpression", x, 0), x)
    apart = neighbour_correlation(make_layout("shuffled", x, 0), x)
    assert abs(apart) < 0.15
    assert together > 0.5


def test_coexpression_holds_on_samples_it_has_not_seen() -> None:
    x = modules(n=120)
    assert neighbour_correlation(make_layout("coexpression", x[:60], 0), x[60:]) > 0.5


@pytest.mark.parametrize(
    "x",
    [
        expression(1),
        expression(4),
        expression(30, n=1),
        expression(30, n=2),
        np.full((5, 40), 0.1, dtype=np.float32),
        np.hstack([expression(30), np.zeros((12, 200), dtype=np.float32)]),
    ],
    ids=["one gene", "four genes", "one sample", "two samples", "all constant", "many constant"],
)
def test_coexpression_of_degenerate_input_is_still_a_layout(x: np.ndarray) -> None:
    x.setflags(write=False)
    check_layout(make_layout("coexpression", x, 0), x.shape[1])


@given(n=st.integers(1, 200), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_every_point_gets_one_cell(n: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 4, size=(n, 2)).astype(float)  # full of ties
    width = grid_shape("square", n)[1]
    assert sorted(to_grid(points, width)) == list(range(n))


def test_points_on_a_grid_stay_where_they_are() -> None:
    side = 16
    cells = np.column_stack(np.divmod(np.arange(side**2), side)).astype(float)
    np.testing.assert_array_equal(to_grid(cells, side), np.arange(side**2))


# --- cache -----------------------------------------------------------------------------------------------------------


def test_the_cache_gives_what_was_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = expression(50)
    fitted = make_layout("coexpression", x, 0, tmp_path)
    assert fitted == make_layout("coexpression", x, 0)
    monkeypatch.setattr(Coexpression, "make", lambda *_: pytest.fail("fitted again"))
    assert make_layout("coexpression", x, 0, tmp_path) == fitted
    assert not list(tmp_path.glob("*.partial"))


def test_the_key_knows_rows_seed_shape_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    x, maker = expression(6, n=4), Coexpression()
    changed = x.copy()
    changed[-1, -1] += 1e-3
    keys = [
        layout_cache.cache_key(maker, x, 0),
        layout_cache.cache_key(maker, x, 1),
        layout_cache.cache_key(maker, changed, 0),
        layout_cache.cache_key(maker, x.reshape(6, 4), 0),
    ]
    assert layout_cache.cache_key(maker, np.asfortranarray(x), 0) == keys[0]
    monkeypatch.setattr(Coexpression, "version", 99)
    assert len({*keys, layout_cache.cache_key(maker, x, 0)}) == 5


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", None], ids=["empty", "torn", "half"])
def test_a_damaged_cache_file_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    x = expression(50)
    fitted = make_layout("coexpression", x, 0, tmp_path)
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert make_layout("coexpression", x, 0, tmp_path) == fitted
    assert file.read_bytes() == whole


def test_layouts_without_fitting_are_not_cached(tmp_path: Path) -> None:
    for name in FREE:
        make_layout(name, expression(20), 0, tmp_path)
    assert not list(tmp_path.iterdir())


class Slow(Coexpression):
    """Takes its time, and leaves a file each time that it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, x_train: np.ndarray, seed: int) -> Layout:
        (self.folder / f"fitted-{os.getpid()}").touch()
        time.sleep(0.3)
        shuffled = LAYOUTS["shuffled"].make(x_train, seed)
        return Layout(self.name, shuffled.shape, shuffled.order)


def fit_in_process(folder: Path) -> bytes:
    shape = grid_shape("coexpression", 20)
    return layout_cache.cached(Slow(folder), shape, expression(20), 0, folder).order.tobytes()


def test_processes_that_want_the_same_layout_fit_it_once(tmp_path: Path) -> None:
    with get_context("spawn").Pool(3) as pool:
        orders = pool.map(fit_in_process, [tmp_path] * 3, chunksize=1)
        pool.close()
        pool.join()
    assert len(set(orders)) == 1
    assert len(list(tmp_path.glob("fitted-*"))) == 1


def test_importing_needs_numpy_alone() -> None:
    code = (
        "import sys, aio_tune.preprocess\n"
        "heavy = {'sklearn', 'scipy', 'pandas', 'matplotlib', 'keras', 'ray'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_makers_are_found_by_name() -> None:
    assert all(get_maker(name).name == name for name in (*LAYOUTS, "7x5x2"))
