"""The figure of the genes that drive a call."""

import numpy as np
import pytest

from aio_tune.figures import save_png
from aio_tune.figures.attribution import attribution_figure


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 3), (16, 1)])
def test_a_plot_per_class_on_one_scale_with_chromosomes(shape, tmp_path):
    n = int(np.prod(shape))
    values = np.linspace(-1, 1, n).reshape(shape)
    chromosome = np.where(np.arange(n) < n // 2, 0, 1).reshape(shape)
    chromosome.reshape(-1)[-1] = -1
    figure = attribution_figure(values, {"G1": values, "G2": 3 * values}, "title", "scale", chromosome, ("1", "X"))
    first, second, bar = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["G1", "G2"]
    assert [axes.images[1].get_clim() for axes in (first, second)] == [(-3, 3), (-3, 3)]
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == ["1", "X"]
    assert bar.get_ylabel() == "scale"
    save_png(figure, tmp_path / "genes.png")


def test_chromosomes_are_bounded_where_they_change():
    chromosome = np.array([0, 0, 0, 1]).reshape(2, 2, 1)
    zeros = np.zeros((2, 2, 1))
    figure = attribution_figure(zeros, {"G1": zeros}, "title", "scale", chromosome, ("1", "2"))
    lines = {tuple(map(tuple, line.tolist())) for line in figure.axes[0].collections[0].get_segments()}
    assert lines == {((0.5, 0.5), (1.5, 0.5)), ((0.5, 0.5), (0.5, 1.5))}


def test_without_an_order_of_chromosomes_there_are_no_lines():
    figure = attribution_figure(np.ones((3, 3, 1)), {"G1": np.ones((3, 3, 1))}, "title", "scale")
    assert not figure.axes[0].collections and not figure.axes[0].get_yticklabels()


def test_no_attribution_is_refused():
    with pytest.raises(ValueError, match="Expected attributions of one or more classes"):
        attribution_figure(np.ones((3, 3, 1)), {}, "title", "scale")
