"""Further kinds of omics as channels: fitted on those who have them, masked for those who do not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.errors import TrialError
from aio_tune.expression import Rows, as_rows
from aio_tune.harmonise import HARMONISERS, SINGLE_SAMPLE
from aio_tune.kinds import choose, read_choice, select
from aio_tune.layout import LAYOUTS
from aio_tune.preprocess import Preprocessor
from aio_tune.scaling import SCALINGS

KINDS = ("expression", "methylation", "copy_number")
GOLDEN = Path(__file__).parent / "golden" / "preprocess_v3.npz"
N, GENES = 14, 11
EVERY = pytest.mark.parametrize(("scaling", "layout"), [(s, y) for s in SCALINGS for y in (*LAYOUTS, "4x3x1")])


def data(n: int = N, seed: int = 0, missing: dict[int, tuple[int, ...]] | None = None) -> np.ndarray:
    """Three kinds side by side; ``missing``: number of the kind -> patients without."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.gamma(2, 2, (n, GENES)), rng.random((n, GENES)), rng.normal(0, 1, (n, GENES))], axis=1)
    for kind, rows in (missing or {}).items():
        x[list(rows), kind * GENES : (kind + 1) * GENES] = np.nan
    return x.astype(np.float32)


def fit(x: np.ndarray, scaling: str = "zscore", layout: str = "square", **more) -> Preprocessor:
    return Preprocessor.fit(scaling, layout, x, seed=1, kinds=KINDS, **more)


def parts(preprocessor: Preprocessor, pictures: np.ndarray) -> list[np.ndarray]:
    """By gene: expression, then values and mask of each kind, shape (n, GENES) each."""
    assert pictures.shape[1:] == preprocessor.shape
    blocks = np.split(pictures, 2 * len(preprocessor.kinds) - 1, axis=-1)
    return [preprocessor.layout.to_genes(block) for block in blocks]


# What is drawn --------------------------------------------------------------------------------------------------------


@EVERY
def test_values_and_mask_of_every_kind_are_channels(scaling: str, layout: str) -> None:
    x = data(missing={1: (0, 3), 2: (5,)})
    preprocessor = fit(x, scaling, layout)
    plain = Preprocessor.fit(scaling, layout, x[:, :GENES], seed=1)
    assert preprocessor.layout == plain.layout
    assert preprocessor.shape == (*plain.shape[:-1], 5 * plain.shape[-1])
    expression, *others = parts(preprocessor, preprocessor.transform(x))
    np.testing.assert_array_equal(expression, plain.layout.to_genes(plain.transform(x[:, :GENES])))
    for i, (values, mask) in enumerate((others[:2], others[2:]), start=1):
        kind = x[:, i * GENES : (i + 1) * GENES]
        has = ~np.isnan(kind).any(axis=1)
        np.testing.assert_array_equal(mask, np.repeat(has[:, None], GENES, axis=1))
        assert not values[~has].any()
        # Exactly the scaling of a matrix of those alone who have the kind.
        np.testing.assert_allclose(values[has], SCALINGS[scaling].fit(kind[has]).transform(kind[has]), atol=1e-5)


@EVERY
@settings(max_examples=6, deadline=None)
@given(patient=st.integers(0, N - 1), kind=st.integers(1, 2), seed=st.integers(0, 99))
def test_masking_a_patient_changes_no_other_picture(
    scaling: str, layout: str, patient: int, kind: int, seed: int
) -> None:
    preprocessor = fit(data(seed=100), scaling, layout)
    whole = data(seed=seed)
    masked = whole.copy()
    masked[patient, kind * GENES : (kind + 1) * GENES] = np.nan
    before, after = preprocessor.transform(whole), preprocessor.transform(masked)
    others = np.arange(N) != patient
    np.testing.assert_array_equal(after[others], before[others])
    for i, (a, b) in enumerate(zip(parts(preprocessor, after), parts(preprocessor, before), strict=True)):
        if i in (2 * kind - 1, 2 * kind):
            assert not a[patient].any()
        else:
            np.testing.assert_array_equal(a[patient], b[patient])


@EVERY
@pytest.mark.parametrize("when", ["training", "calling", "both"])
def test_a_kind_that_nobody_has_is_0_and_masked(scaling: str, layout: str, when: str) -> None:
    """Where nobody had it in training, no weight has learnt what to make of those who have it."""
    without = data(missing={1: tuple(range(N))})
    preprocessor = fit(without if when != "calling" else data(), scaling, layout)
    pictures = preprocessor.transform(without if when != "training" else data(missing={2: (0,)}))
    assert np.isfinite(pictures).all()
    _, values, mask, _, other_mask = parts(preprocessor, pictures)
    assert other_mask.any()
    assert not values.any() and not mask.any()


@EVERY
def test_a_gene_that_nobody_had_in_training_stays_masked_from_a_file_too(
    scaling: str, layout: str, tmp_path: Path
) -> None:
    x = data()
    x[:, GENES + 3] = np.nan
    fit(x, scaling, layout).save(tmp_path / "p.npz")
    loaded = Preprocessor.load(tmp_path / "p.npz")
    _, values, mask, _, other_mask = parts(loaded, loaded.transform(data()))
    np.testing.assert_array_equal(mask, np.broadcast_to(np.arange(GENES) != 3, mask.shape))
    assert not values[:, 3].any()
    assert other_mask.all()


@EVERY
def test_padding_is_0_in_every_channel(scaling: str, layout: str) -> None:
    preprocessor = fit(data(), scaling, layout)
    for block in np.split(preprocessor.transform(data(seed=5)), 5, axis=-1):
        assert not block[:, ~preprocessor.layout.mask].any()


@pytest.mark.parametrize("scaling", SCALINGS)
def test_genes_that_part_of_the_training_cohorts_lack(scaling: str) -> None:
    """Each gene is fitted on those who have it, and on all of them."""
    x = data(missing={1: (0,)})
    x[7:, GENES + 2] = np.nan  # the second cohort's file lacks a gene
    x[:7, GENES + 3] = np.nan  # the first one's lacks another
    x[:, GENES + 4] = np.nan  # and both lack a third
    preprocessor = fit(x, scaling)
    fitted = preprocessor.channels[0].scaling.state()
    for gene, rows in ((0, slice(1, None)), (2, slice(1, 7)), (3, slice(7, None))):
        alone = SCALINGS[scaling].fit(x[rows, GENES + gene : GENES + gene + 1]).state()
        for name, array in fitted.items():
            np.testing.assert_allclose(array[gene], alone[name][0], rtol=1e-6)
    _, values, mask, *_ = parts(preprocessor, preprocessor.transform(x))
    np.testing.assert_array_equal(mask, ~np.isnan(x[:, GENES : 2 * GENES]))
    assert np.isfinite(values).all() and not values[mask == 0].any()


def test_ranks_of_measured_genes_keep_their_order_beside_a_missing_one() -> None:
    x = data()
    x[:, GENES + 4] = np.nan
    preprocessor = fit(x, "rank")
    values = parts(preprocessor, preprocessor.transform(x))[1]
    kept = np.arange(GENES) != 4
    np.testing.assert_array_equal(values[:, kept].argsort(axis=1), x[:, GENES : 2 * GENES][:, kept].argsort(axis=1))


def test_rows_read_in_pieces_give_the_same() -> None:
    x = data(300, missing={1: (0, 150, 299)})
    whole, some = fit(x), fit(Rows(np.concatenate([x, x]), np.arange(300, 600)))
    np.testing.assert_array_equal(some.transform(x[:5]), whole.transform(x[:5]))


@pytest.mark.parametrize("harmoniser", HARMONISERS)
def test_harmonisers_are_of_expression_alone(harmoniser: str) -> None:
    x = data(missing={2: (1,)})
    preprocessor = fit(x, harmoniser=harmoniser)
    plain = Preprocessor.fit("zscore", "square", x[:, :GENES], seed=1, harmoniser=harmoniser)
    shifted = data(seed=8)
    shifted[:, :GENES] += 1
    np.testing.assert_array_equal(preprocessor.transform(shifted)[..., :1], plain.transform(shifted[:, :GENES]))
    np.testing.assert_array_equal(preprocessor.transform(shifted)[..., 1:], fit(x).transform(shifted)[..., 1:])
    np.testing.assert_array_equal(preprocessor.transform_training(x)[..., 1:], fit(x).transform(x)[..., 1:])
    if harmoniser in SINGLE_SAMPLE:
        np.testing.assert_array_equal(preprocessor.transform(shifted[:1]), preprocessor.transform(shifted)[:1])


# Files ----------------------------------------------------------------------------------------------------------------


@EVERY
def test_the_file_gives_the_same_bits(scaling: str, layout: str, tmp_path: Path) -> None:
    x = data(missing={1: (2,)})
    preprocessor = fit(x, scaling, layout)
    preprocessor.save(tmp_path / "a.npz")
    loaded = Preprocessor.load(tmp_path / "a.npz")
    assert loaded.kinds == KINDS
    np.testing.assert_array_equal(loaded.transform(x), preprocessor.transform(x))
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def golden_rows() -> np.ndarray:
    """Expression as of version 1; methylation .25, none, .75 of every gene but the eighth, which nobody has."""
    expression = np.arange(3)[:, None] + np.arange(30)
    methylation = np.repeat([[0.25], [np.nan], [0.75]], 30, axis=1)
    methylation[:, 7] = np.nan
    return np.concatenate([expression, methylation], axis=1).astype(np.float32)


def test_version_3_loads_for_good() -> None:
    """The golden file was fitted on ``golden_rows`` with zscore and shuffled, seed 1; it is never written again."""
    loaded = Preprocessor.load(GOLDEN)
    assert (loaded.kinds, loaded.shape) == (("expression", "methylation"), (6, 6, 3))
    blocks = np.split(loaded.transform(golden_rows()), 3, axis=-1)
    expression, methylation, mask = (loaded.layout.to_genes(block) for block in blocks)
    np.testing.assert_allclose(expression, np.repeat([[-1.0], [0], [1]], 30, axis=1) / np.sqrt(2 / 3), atol=1e-5)
    expected = np.repeat([[-1.0], [0], [1]], 30, axis=1)  # mean .5, sd .25; 0 where missing
    expected[:, 7] = 0
    np.testing.assert_allclose(methylation, expected, atol=1e-5)
    np.testing.assert_array_equal(mask, expected != 0)
    assert [loaded.layout.gene_at((0, column, 0)) for column in range(6)] == [21, 16, 7, 1, 3, 28]


def test_version_4_loads_for_good() -> None:
    """As version 3, but the eighth gene stays masked for a patient who has it; never written again."""
    loaded = Preprocessor.load(GOLDEN.with_name("preprocess_v4.npz"))
    rows = np.nan_to_num(golden_rows(), nan=0.5)
    blocks = np.split(loaded.transform(rows), 3, axis=-1)
    _, methylation, mask = (loaded.layout.to_genes(block) for block in blocks)
    expected = np.repeat([[-1.0], [0], [1]], 30, axis=1)
    expected[:, 7] = 0
    np.testing.assert_allclose(methylation, expected, atol=1e-5)
    np.testing.assert_array_equal(mask, np.broadcast_to(np.arange(30) != 7, (3, 30)))


# What is refused, and choices -----------------------------------------------------------------------------------------


def test_what_cannot_be_drawn_is_refused() -> None:
    preprocessor = fit(data())
    with pytest.raises(ValueError, match=r"Expected shape \(n, 33\)"):
        preprocessor.transform(data()[:, :GENES])
    bad = data()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite expression"):
        preprocessor.transform(bad)
    bad = data()
    bad[0, GENES] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        fit(bad)
    for kinds in ((), ("methylation", "expression"), (*KINDS, "more")):
        with pytest.raises(ValueError, match="further kinds"):
            Preprocessor.fit("zscore", "square", data(), seed=1, kinds=kinds)


def test_choices() -> None:
    assert choose("all", KINDS) == KINDS
    assert choose("expression", KINDS) == ("expression",)
    assert choose("copy_number+expression", KINDS) == ("expression", "copy_number")
    assert choose("all", KINDS[:1]) == choose("expression", KINDS[:1])
    with pytest.raises(TrialError, match=r"has, expression, methylation, copy_number\. Received proteins\."):
        choose("expression+proteins", KINDS)
    for wrong in ("", "methylation", "expression+", "expression+expression", "expression, methylation", "All"):
        with pytest.raises(ValueError, match="Expected all, or expression with further kinds"):
            read_choice(wrong)


def test_some_kinds_of_a_matrix() -> None:
    x = data()
    assert select(x, KINDS, KINDS) is x
    some = select(x, KINDS, ("expression", "copy_number"))
    assert some.shape == (N, 2 * GENES)
    expected = np.concatenate([x[:, :GENES], x[:, 2 * GENES :]], axis=1)
    np.testing.assert_array_equal(some[:], expected)
    np.testing.assert_array_equal(some[np.array([3, 1])], expected[[3, 1]])
    np.testing.assert_array_equal(as_rows(some).whole(), expected)
