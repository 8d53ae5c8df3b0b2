"""Contract suite of the harmonisers: what ``Harmoniser`` guarantees, for every member of ``HARMONISERS``."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.harmonise import HARMONISERS, LEAST_BATCH, SINGLE_SAMPLE, Harmoniser

EVERY = pytest.mark.parametrize("harmoniser", HARMONISERS.values(), ids=HARMONISERS)
SINGLE = pytest.mark.parametrize("harmoniser", [HARMONISERS[name] for name in SINGLE_SAMPLE], ids=SINGLE_SAMPLE)
TRANSDUCTIVE = pytest.mark.parametrize(
    "harmoniser", [member for member in HARMONISERS.values() if member.transductive], ids=lambda member: member.name
)


def expression(n: int, n_genes: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """log2(TPM+1) of a kind: no negatives, many zeros; read-only."""
    x = np.random.default_rng(seed).normal(2 + shift, 2 * scale, size=(n, n_genes))
    x = np.maximum(x, 0).astype(np.float32)
    x.setflags(write=False)
    return x


def state_bytes(harmoniser: Harmoniser) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in harmoniser.state().items()}


def views(harmoniser: Harmoniser, x: np.ndarray) -> list[np.ndarray]:
    """What it makes of rows that are a whole batch: as training rows, and as a target."""
    return [harmoniser.reference(x), harmoniser.transform(x)]


def test_the_list() -> None:
    assert list(HARMONISERS) == ["none", "rank", "quantile", "denoise", "fsqn", "cohort_zscore", "combat"]
    assert {name for name, member in HARMONISERS.items() if member.transductive} == {"fsqn", "cohort_zscore", "combat"}
    assert SINGLE_SAMPLE == ("none", "rank", "quantile", "denoise")
    for name, member in HARMONISERS.items():
        assert (member.name, member.least_batch()) == (name, LEAST_BATCH if member.transductive else 0)


@EVERY
@given(
    n=st.integers(1, 30),
    batch=st.integers(LEAST_BATCH, 30),
    n_genes=st.integers(1, 20),
    seed=st.integers(0, 1000),
    scale=st.floats(0, 1000),
)
@settings(max_examples=20, deadline=None)
def test_shape_dtype_finite_deterministic_and_read_only(
    harmoniser: type[Harmoniser], n: int, batch: int, n_genes: int, seed: int, scale: float
) -> None:
    train, target = expression(n, n_genes, seed), expression(batch, n_genes, seed + 1, scale, shift=3)
    once, again = (views(harmoniser.fit(train), target) for _ in range(2))
    once.append(harmoniser.fit(train).reference(train))
    again.append(harmoniser.fit(train.copy()).reference(train.copy()))
    for a, b in zip(once, again, strict=True):
        assert a.dtype == np.float32
        assert a.shape == b.shape
        assert a.shape[1] == n_genes
        assert np.isfinite(a).all()
        assert a.tobytes() == b.tobytes()
    assert [len(a) for a in once] == [batch, batch, n]


@EVERY
@given(seed=st.integers(0, 1000), factor=st.floats(-100, 100))
@settings(max_examples=10, deadline=None)
def test_rows_outside_the_fit_do_not_change_it(harmoniser: type[Harmoniser], seed: int, factor: float) -> None:
    x = expression(40, 15, seed).copy()
    train, rest = np.arange(20), np.arange(20, 40)
    before = harmoniser.fit(x[train])
    state, drawn = state_bytes(before), before.reference(x[train])
    x[rest] = x[rest] * np.float32(factor) + 1
    before.transform(x[rest])  # a target that was seen leaves nothing behind either
    assert state_bytes(before) == state
    assert state_bytes(harmoniser.fit(x[train])) == state
    assert before.reference(x)[train].tobytes() == drawn.tobytes()


@EVERY
def test_training_rows_do_change_it(harmoniser: type[Harmoniser]) -> None:
    x = expression(20, 15).copy()
    before = state_bytes(harmoniser.fit(x))
    x[3] += 20
    assert (state_bytes(harmoniser.fit(x)) == before) == (harmoniser.name in ("none", "rank"))  # these fit nothing


@EVERY
def test_reference_treats_each_row_by_itself(harmoniser: type[Harmoniser]) -> None:
    x = expression(20, 15)
    fitted = harmoniser.fit(x)
    whole = fitted.reference(x)
    for rows in ([3], [7, 1], []):
        assert fitted.reference(x[rows]).tobytes() == whole[rows].tobytes()


@SINGLE
@given(seed=st.integers(0, 1000), n=st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_one_sample_is_what_it_is_within_a_batch(harmoniser: type[Harmoniser], seed: int, n: int) -> None:
    fitted = harmoniser.fit(expression(20, 15, seed))
    batch = expression(n, 15, seed + 1, shift=2)
    together = fitted.transform(batch)
    for row in range(n):
        assert fitted.transform(batch[row : row + 1]).tobytes() == together[row].tobytes()
    assert together.tobytes() == fitted.reference(batch).tobytes()
    assert fitted.transform(batch[:0]).shape == (0, 15)


@TRANSDUCTIVE
@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_a_batch_does_not_matter_but_its_samples_do(harmoniser: type[Harmoniser], seed: int) -> None:
    fitted = harmoniser.fit(expression(20, 15, seed))
    batch = expression(14, 15, seed + 1, shift=2)
    together = fitted.transform(batch)
    order = np.random.default_rng(seed).permutation(14)
    np.testing.assert_allclose(fitted.transform(batch[order]), together[order], atol=2e-5)
    assert not np.allclose(fitted.transform(batch[:12]), together[:12], atol=1e-3)


@TRANSDUCTIVE
def test_too_few_samples_are_refused(harmoniser: type[Harmoniser]) -> None:
    fitted = harmoniser.fit(expression(20, 15))
    for n in (0, 1, LEAST_BATCH - 1):
        with pytest.raises(ValueError, match=rf"at least {LEAST_BATCH} samples .* {harmoniser.name}\. Received {n}\."):
            fitted.transform(expression(n, 15))
    assert fitted.transform(expression(LEAST_BATCH, 15)).shape == (LEAST_BATCH, 15)


@EVERY
def test_save_and_load_give_the_same_bits(harmoniser: type[Harmoniser], tmp_path) -> None:
    fitted = harmoniser.fit(expression(20, 15))
    with (tmp_path / "state.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **fitted.state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as stored:
        loaded = harmoniser.from_state(dict(stored))
    assert state_bytes(loaded) == state_bytes(fitted)
    target = expression(12, 15, seed=5, shift=1)
    assert loaded.transform(target).tobytes() == fitted.transform(target).tobytes()
    if fitted.state():
        with pytest.raises(KeyError):
            harmoniser.from_state({})


@EVERY
@pytest.mark.parametrize("where", ["training", "target", "both", "everything"])
def test_a_constant_gene_does_no_harm(harmoniser: type[Harmoniser], where: str) -> None:
    train, target = expression(20, 15).copy(), expression(12, 15, seed=1, shift=1).copy()
    genes = slice(None) if where == "everything" else 4
    if where != "target":
        train[:, genes] = np.float32(0.1)  # no binary fraction: its computed sd is not exactly 0
    if where != "training":
        target[:, genes] = np.float32(0.7)
    fitted = harmoniser.fit(train)
    for drawn in (fitted.reference(train), fitted.transform(target)):
        assert np.isfinite(drawn).all()
        # The limit is that of values as they come, and of one that is 0.6 off with the smallest sd divided by.
        assert np.abs(drawn).max() < 15


@TRANSDUCTIVE
@pytest.mark.parametrize("where", ["training", "target"])
def test_a_constant_gene_does_not_touch_the_others(harmoniser: type[Harmoniser], where: str) -> None:
    """Transductive members look at genes, so what they do to fourteen genes is the same with a constant fifteenth."""
    train, target = expression(20, 15).copy(), expression(12, 15, seed=1, shift=1).copy()
    (train if where == "training" else target)[:, 14] = np.float32(0.1)
    with_it = harmoniser.fit(train).transform(target)[:, :14]
    without = harmoniser.fit(train[:, :14]).transform(target[:, :14])
    np.testing.assert_allclose(with_it, without, atol=1e-6)


@EVERY
def test_one_training_row_is_enough_to_fit(harmoniser: type[Harmoniser]) -> None:
    fitted = harmoniser.fit(expression(1, 15))
    for drawn in (*views(fitted, expression(12, 15, seed=1)), fitted.reference(expression(1, 15))):
        assert np.isfinite(drawn).all()


def test_importing_the_package_imports_numpy_alone() -> None:
    """It travels inside registered models, whose requirements are few."""
    program = (
        "import sys, aio_tune.preprocess\n"
        "heavy = {'sklearn', 'scipy', 'pandas', 'matplotlib', 'keras', 'ray'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
