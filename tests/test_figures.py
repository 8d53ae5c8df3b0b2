"""Figures hold what they were given, can be written, and leave pyplot alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from aio_tune.figures import (
    Layer,
    aio_figure,
    calibration_figure,
    confusion_figure,
    curves_figure,
    history_figure,
    importance_figure,
    mean_roc,
    network_figure,
    roc_figure,
    save_png,
    survival_figure,
)
from aio_tune.kaplan_meier import KaplanMeier


def test_roc_figure_has_one_line_per_curve(tmp_path: Path) -> None:
    points = np.array([0, 0.2, 1]), np.array([0, 0.9, 1])
    figure = roc_figure({"fold 0 (AUC 0.85)": points, "fold 1 (AUC 0.85)": points}, "Ki67 status")
    (axes,) = figure.axes
    assert axes.get_title() == "Ki67 status"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["fold 0 (AUC 0.85)", "fold 1 (AUC 0.85)"]
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), np.column_stack(points))
    save_png(figure, tmp_path / "roc.png")
    assert imread(tmp_path / "roc.png").std() > 0


def test_roc_figure_without_curves(tmp_path: Path) -> None:
    save_png(roc_figure({}, "nothing"), tmp_path / "roc.png")


def test_mean_roc_by_hand() -> None:
    perfect = np.array([0, 0, 1.0]), np.array([0, 1.0, 1])
    chance = np.array([0, 1.0]), np.array([0, 1.0])
    rates, mean, sd = mean_roc([perfect, chance], points=3)
    np.testing.assert_allclose(rates, [0, 0.5, 1])
    np.testing.assert_allclose(mean, [0.5, 0.75, 1])  # (1 + 0) / 2, (1 + 0.5) / 2, (1 + 1) / 2
    np.testing.assert_allclose(sd, [np.sqrt(0.5), 0.5 * np.sqrt(0.5), 0])  # |a - b| / sqrt(2)
    with pytest.raises(ValueError, match="two or more"):
        mean_roc([perfect])


def test_mean_roc_of_step_curves_against_the_definition() -> None:
    from sklearn.metrics import roc_curve

    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [10, 15])
    curves = [roc_curve(y, rng.normal(y), drop_intermediate=False)[:2] for _ in range(4)]
    rates, mean, _ = mean_roc(curves, points=11)  # multiples of 1/10, where the curves have their steps
    by_hand = [[tpr[np.isclose(fpr, rate)].max() for rate in rates] for fpr, tpr in curves]
    np.testing.assert_allclose(mean, np.mean(by_hand, axis=0))


def test_roc_figure_draws_a_band_of_folds(tmp_path: Path) -> None:
    folds = [(np.array([0, rate, 1]), np.array([0, 0.9, 1])) for rate in (0.1, 0.2, 0.3)]
    figure = roc_figure({}, "Ki67 status", band=folds)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mean ± sd of 3 folds"]
    corners = axes.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() >= 0
    assert corners[:, 1].max() <= 1
    save_png(figure, tmp_path / "roc.png")
    assert not roc_figure({}, "one", band=folds[:1]).axes[0].collections


def test_confusion_figure_shows_counts_and_shares(tmp_path: Path) -> None:
    counts = np.array([[9, 1, 0], [2, 6, 0], [0, 0, 0]])  # nobody is G3
    figure = confusion_figure(counts, ("G1", "G2", "G3"), "NHG")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts][:5] == ["9\n90%", "1\n10%", "0\n0%", "2\n25%", "6\n75%"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Called", "True")
    save_png(figure, tmp_path / "confusion.png")


def test_confusion_figure_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match="Expected counts"):
        confusion_figure(np.zeros((2, 3), dtype=int), ("a", "b"), "")


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((5, 6, 7, 1), (6, 7)), ((5, 3, 3, 4), (6, 6)), ((5, 3, 3, 3), (6, 6)), ((1, 10, 1), (3, 4)), ((2, 1, 1), (1, 1))],
)
def test_aio_figure_draws_every_pixel(shape: tuple[int, ...], drawn: tuple[int, int], tmp_path: Path) -> None:
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    figure = aio_figure(images, [f"sample {i}" for i in range(len(images))])
    assert len(figure.axes) == len(images)
    for axes, image in zip(figure.axes, images, strict=True):
        shown = np.ma.filled(axes.images[0].get_array().astype(float), np.nan)
        assert shown.shape == drawn
        np.testing.assert_array_equal(np.sort(shown[~np.isnan(shown)]), np.sort(image.ravel()))
    assert len({axes.images[0].get_clim() for axes in figure.axes}) == 1
    save_png(figure, tmp_path / "aio.png")
    assert imread(tmp_path / "aio.png").std() > 0


def test_aio_figure_of_a_constant_picture(tmp_path: Path) -> None:
    save_png(aio_figure(np.zeros((1, 4, 4, 1), dtype=np.float32), ["flat"]), tmp_path / "aio.png")


@pytest.mark.parametrize(("n", "titles"), [(0, []), (2, ["one"])])
def test_aio_figure_wants_one_title_per_picture(n: int, titles: list[str]) -> None:
    with pytest.raises(ValueError, match="Expected one title"):
        aio_figure(np.zeros((n, 4, 4, 1)), titles)


def test_calibration_bars_are_wilsons_intervals(tmp_path: Path) -> None:
    from scipy.stats import binomtest

    mean, share, count = np.array([0.1, 0.6]), np.array([0.0, 0.75]), np.array([5, 8])
    figure = calibration_figure({"positive": (mean, share, count)}, "Ki67 status")
    segments = figure.axes[0].collections[0].get_segments()
    for (hits, n), segment in zip(((0, 5), (6, 8)), segments, strict=True):
        interval = binomtest(hits, n).proportion_ci(method="wilson")
        np.testing.assert_allclose(segment[:, 1], [interval.low, interval.high], atol=1e-4)
    save_png(figure, tmp_path / "calibration.png")


def test_mean_curve_is_of_the_epochs_that_all_folds_went_through() -> None:
    folds = {"0": {1: 1.0, 2: 3.0, 3: 9.0}, "1": {1: 2.0, 2: 5.0}}
    (axes,) = curves_figure({"valid_loss": folds}, "trial 3").axes
    assert axes.lines[-1].get_xydata().tolist() == [[1, 1.5], [2, 4]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["fold 0", "fold 1", "mean"]


def test_history_and_importance(tmp_path: Path) -> None:
    figure = history_figure({"COMPLETE": {0: 0.6, 2: 0.8}, "PRUNED": {1: 0.5}}, {0: 0.6, 2: 0.8}, "auc", "s")
    assert [len(points.get_offsets()) for points in figure.axes[0].collections] == [2, 1]
    save_png(figure, tmp_path / "history.png")
    bars = importance_figure({"a": 0.75, "b": 0.25}, 9, "s").axes[0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["b", "a"]
    assert "9 complete trials" in bars.get_xlabel()


def test_a_network_is_drawn_block_by_block() -> None:
    layers = [
        Layer("picture", "InputLayer", (8, 8, 1), 0, ()),
        Layer("conv", "Conv2D", (8, 8, 4), 40, ("picture",), "3x3"),
        Layer("norm", "BatchNormalization", (8, 8, 4), 16, ("conv",)),
        Layer("pool", "MaxPooling2D", (4, 4, 4), 0, ("norm",), "2x2"),
        Layer("embedding", "Dense", (3,), 10, ("picture",)),
        Layer("calls", "Dense", (2,), 10, ("pool", "embedding")),
    ]
    (axes,) = network_figure(layers, "n").axes
    assert len(axes.patches) == 5, "normalisation is part of the block before"
    said = [text.get_text().replace("\n", " ") for text in axes.texts if text.get_text()]
    assert said[:2] == ["InputLayer 8×8×1", "Conv2D 3x3 8×8×4"]
    ways = [line.get_xydata()[[0, -1], 0].round(2).tolist() for line in axes.lines]
    assert len(ways) == 5  # picture to conv and embedding, conv to pool, both to the calls
    with pytest.raises(ValueError, match="one or more layers"):
        network_figure([], "n")


def test_neither_pyplot_nor_early_matplotlib() -> None:
    code = (
        "import sys, numpy, aio_tune.figures as figures\n"
        "assert 'matplotlib' not in sys.modules\n"
        "figures.roc_figure({}, '')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_survival_figure_says_who_is_at_risk(tmp_path: Path) -> None:
    year = 365.25
    days, survival = np.array([0, 1.0, 2.5]) * year, np.array([1, 0.5, 0.5])
    steps = KaplanMeier(days, survival, survival - 0.1, survival, np.array([4, 4, 2]), np.array([2.5 * year]))
    figure = survival_figure({"G1": steps, "G3": steps}, "NHG", "p = 0.02")
    above, below = figure.axes
    assert above.get_title() == "NHG"
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["G1", "G3"]
    counts = {(text.get_position()): text.get_text() for text in below.texts}
    assert [counts[year_no, 1] for year_no in (0.0, 1.0, 2.0)] == ["4", "4", "2"]
    save_png(figure, tmp_path / "survival.png")
    assert imread(tmp_path / "survival.png").std() > 0
