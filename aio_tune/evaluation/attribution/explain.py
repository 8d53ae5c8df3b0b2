"""From registered ensembles and a dataset to genes: what drives the calls, in how many of the folds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aio_tune.dataset import AioDataset
from aio_tune.errors import EvaluationError
from aio_tune.evaluation.attribution import METHODS, Sight
from aio_tune.evaluation.attribution.drawing import Drawing, draw
from aio_tune.evaluation.attribution.linear import linear_weights
from aio_tune.evaluation.attribution.pixels import baseline, to_columns
from aio_tune.evaluation.attribution.stability import TOP, agree, descending_ranks
from aio_tune.evaluation.unseen import check_units
from aio_tune.models.ensemble import kind_columns

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.models.ensemble import Ensemble

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class NetworkGenes:
    """What one network makes of the columns, over the samples; each of shape (n_classes_explained, n_columns).

    Attributes:
        absolute: mean absolute attribution.
        signed: mean attribution. Against the mean profile it is near 0 in a cohort like that of training, where half of
            the samples are above a gene's mean and half below.
        direction: correlation of a column's pixel with its attribution, -1..1: above 0, a higher value speaks for the
            class; 0 where either is constant, NaN of a method without signs.
        completeness: shape (n_classes_explained, n_samples), or None; see ``base.Attribution``.
        mean_picture: of the samples, shape of one picture.
    """

    absolute: Floats
    signed: Floats
    direction: Floats
    completeness: npt.NDArray[np.float64] | None
    mean_picture: Floats


@dataclass(frozen=True, eq=False)
class Explanation:
    """What came out.

    Attributes:
        task: the clinical question.
        classes: those explained: the second of two, or each of more.
        cohorts: where the samples are from.
        n_samples: how many these are.
        method: key of ``METHODS``.
        networks: a name for each network, ``fold_0`` or, of several models, ``model_1_fold_0``.
        table: one row per column of the models (a gene, or ``methylation:TP53``), best mean rank first; see
            ``explain``.
        completeness: relative errors, one per network, class and sample; None unless the method is integrated
            gradients.
        linear_note: what the linear weights were fitted on, or why there are none.
        missing_genes: genes of the models that the dataset lacks.
        drawing: what the figure shows, of the first network.
    """

    task: str
    classes: tuple[str, ...]
    cohorts: tuple[str, ...]
    n_samples: int
    method: str
    networks: tuple[str, ...]
    table: "pd.DataFrame"
    completeness: npt.NDArray[np.float64] | None
    linear_note: str
    missing_genes: tuple[str, ...]
    drawing: Drawing


def explain(
    ensembles: "Mapping[str, Ensemble]",
    dataset: AioDataset,
    cohorts: Sequence[str] = (),
    *,
    samples: int = 100,
    seed: int = 0,
    method: str = "integrated-gradients",
    watch: Callable[[int, int], None] = lambda done, of: None,
) -> Explanation:
    """Which genes drive the calls of one or more ensembles.

    The table has the columns ``symbol``, ``chromosome``, ``tss``; ``attribution`` (mean absolute attribution over
    samples, classes and networks, log-odds), ``mean_rank``, ``rank_sd``, ``folds_in_top_50``, ``stability`` (the
    same as a share); for each class explained ``attribution_<class>``, ``signed_<class>``, ``direction_<class>`` (means
    over networks); ``rank_<network>``; and ``linear_weight_<class>``, ``linear_rank`` (by the mean of their absolute
    values), empty where ``linear_note`` says why.

    Args:
        ensembles: name -> model, of one task, looking at the same columns. The linear model is fitted on the training
            patients of the first.
        dataset: holds the samples.
        cohorts: names; none is the dataset's first. They may have been in training: nothing is measured here.
        samples: most samples, drawn at random; at least 1.
        seed: of the draw, and of the linear model.
        method: key of ``METHODS``.
        watch: told after every network how many of how many are done.

    Raises:
        EvaluationError: the method is unknown or not for these networks, a cohort is unknown, no samples are asked
            for, or the models do not go together.
        RegistryError: a model refuses the samples.
    """
    names = tuple(cohorts) or dataset.cohort_names[:1]
    first = _check(ensembles, dataset, names, samples, method)
    import pandas as pd

    whole = [pd.DataFrame(dataset.matrix([name]), columns=list(dataset.columns), copy=False) for name in names]
    rows = _drawn([len(frame) for frame in whole], samples, seed)
    classes = [1] if len(first.classes) == 2 else list(range(len(first.classes)))
    total = sum(len(ensemble.members) for ensemble in ensembles.values())
    found: dict[str, NetworkGenes] = {}
    for name, sight in _sights(ensembles, whole, rows):
        found[name] = network_genes(sight, METHODS[method], classes)
        watch(len(found), total)
    linear = linear_weights(first, dataset, seed)
    named = [first.classes[c] for c in classes]
    weights = None if linear.weights is None else linear.weights[classes]
    values = _values(found, named, weights)
    errors = [genes.completeness.ravel() for genes in found.values() if genes.completeness is not None]
    chromosomes, starts = _places(first, dataset)
    table = _table(first, chromosomes, starts, values)
    _, missing = first.arrange(whole[0].iloc[:0])
    return Explanation(
        task=first.task,
        classes=tuple(named),
        cohorts=names,
        n_samples=sum(len(some) for some in rows),
        method=method,
        networks=tuple(found),
        table=table.sort_values(
            ["mean_rank", "attribution"], ascending=[True, False], kind="stable", ignore_index=True
        ),
        completeness=np.concatenate(errors) if errors else None,
        linear_note=linear.note,
        missing_genes=missing,
        drawing=_drawing(first, next(iter(found.values())).mean_picture, values, named, chromosomes),
    )


def network_genes(sight: Sight, attribute: Any, classes: Sequence[int]) -> NetworkGenes:
    """Attribute one network's log-odds to the columns, and sum up over the samples.

    Args:
        sight: network and samples.
        attribute: one of ``METHODS``.
        classes: indices of the classes to explain.
    """
    attribution = attribute(sight, classes)
    seen = to_columns(sight.preprocessor, sight.pictures)
    by_class = [to_columns(sight.preprocessor, pixels) for pixels in attribution.pixels]
    return NetworkGenes(
        absolute=np.stack([np.abs(one).mean(axis=0) for one in by_class]),
        signed=np.stack([one.mean(axis=0) for one in by_class]),
        direction=np.stack(
            [correlation(seen, one) if attribution.signed else np.full(one.shape[1], np.nan) for one in by_class]
        ),
        completeness=attribution.completeness,
        mean_picture=sight.pictures.mean(axis=0),
    )


def correlation(x: Floats, y: Floats) -> Floats:
    """Pearson correlation of the columns of two matrices (n, m), shape (m,); 0 where one is constant."""
    x, y = (values.astype(np.float64) - values.mean(axis=0, dtype=np.float64) for values in (x, y))
    product = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.divide((x * y).sum(axis=0), product, out=np.zeros(x.shape[1]), where=product > 1e-12)


def _check(
    ensembles: "Mapping[str, Ensemble]", dataset: AioDataset, cohorts: Sequence[str], samples: int, method: str
) -> "Ensemble":
    """The first ensemble, if all of them go together with what is asked for."""
    if not ensembles or samples < 1:
        raise EvaluationError(f"Expected a model and a sample, or more. Received {len(ensembles)}, {samples}.")
    if method not in METHODS:
        raise EvaluationError(f"Expected a method, one of {', '.join(METHODS)}. Received {method!r}.")
    unknown = [name for name in cohorts if name not in dataset.cohort_names]
    if unknown or len(set(cohorts)) < len(cohorts):
        raise EvaluationError(
            f"Expected cohorts of the dataset, each once, of {', '.join(dataset.cohort_names)}. "
            f"Received {', '.join(cohorts)}."
        )
    (name, first), *others = ensembles.items()
    for other, ensemble in others:
        alike = [(one.task, one.classes, one.genes, one.kinds) for one in (first, ensemble)]
        if alike[0] != alike[1]:
            raise EvaluationError(
                f"Expected models of one task and the same genes and kinds. Received {name} ({first.task}, "
                f"{len(first.genes):,} genes) and {other} ({ensemble.task}, {len(ensemble.genes):,} genes).",
                "Explain them one by one.",
            )
    for ensemble in ensembles.values():
        check_units(ensemble, dataset)
    return first


def _drawn(sizes: Sequence[int], samples: int, seed: int) -> list[npt.NDArray[np.intp]]:
    """Rows of each cohort, ascending, drawn from all together."""
    starts = np.cumsum([0, *sizes])
    drawn = np.sort(np.random.default_rng(seed).permutation(starts[-1])[:samples])
    return [drawn[(drawn >= start) & (drawn < end)] - start for start, end in pairwise(starts)]


def _sights(
    ensembles: "Mapping[str, Ensemble]", whole: "Sequence[pd.DataFrame]", rows: Sequence[npt.NDArray[np.intp]]
) -> Iterator[tuple[str, Sight]]:
    """Each network with what it sees, one after the other, since pictures are large."""
    for number, ensemble in enumerate(ensembles.values(), start=1):
        arranged = [ensemble.arrange(frame)[0] for frame in whole]
        for fold, (model, preprocessor) in enumerate(ensemble.members):
            # A cohort is harmonised as a whole, as for a call: a transductive harmoniser takes it for one batch.
            needed = preprocessor.least_batch
            if any(len(x) < needed for x in arranged):
                raise EvaluationError(
                    f"Expected cohorts of at least {needed} samples, which the model's harmoniser "
                    f"({preprocessor.harmoniser.name}) compares. Received {min(map(len, arranged))}."
                )
            parts = [preprocessor.harmonise(x)[some] for x, some in zip(arranged, rows, strict=True)]
            pictures = preprocessor.draw(np.concatenate(parts))
            mean = baseline(preprocessor, ensemble.spec.gene_means, pictures)
            prefix = f"model_{number}_" if len(ensembles) > 1 else ""
            yield f"{prefix}fold_{fold}", Sight(model, preprocessor, pictures, mean)


def _values(found: Mapping[str, NetworkGenes], classes: Sequence[str], weights: Floats | None) -> dict[str, Any]:
    """The numbers of the table, each of shape (n_columns,)."""
    overall = np.stack([genes.absolute.mean(axis=0) for genes in found.values()])
    agreement = agree(overall)
    values: dict[str, Any] = {
        "attribution": overall.mean(axis=0),
        "mean_rank": agreement.mean_rank,
        "rank_sd": agreement.rank_sd,
        f"folds_in_top_{TOP}": agreement.in_top,
        "stability": agreement.stability,
    }
    for i, name in enumerate(classes):
        values[f"attribution_{name}"] = np.mean([genes.absolute[i] for genes in found.values()], axis=0)
        values[f"signed_{name}"] = np.mean([genes.signed[i] for genes in found.values()], axis=0)
        values[f"direction_{name}"] = np.mean([genes.direction[i] for genes in found.values()], axis=0)
    values |= {f"rank_{network}": ranks for network, ranks in zip(found, agreement.ranks, strict=True)}
    for i, name in enumerate(classes):
        values[f"linear_weight_{name}"] = np.nan if weights is None else weights[i]
    values["linear_rank"] = np.nan if weights is None else descending_ranks(np.abs(weights).mean(axis=0))
    return values


def _drawing(
    ensemble: "Ensemble", mean: Floats, values: Mapping[str, Any], classes: Sequence[str], chromosomes: Sequence[str]
) -> Drawing:
    """Mean absolute attributions over all networks, with the sign of their direction, in the first one's layout."""
    directions = {name: values[f"direction_{name}"] for name in classes}
    signed = not any(np.isnan(direction).any() for direction in directions.values())
    signs = {name: np.sign(direction) if signed else 1.0 for name, direction in directions.items()}
    attributions = {name: values[f"attribution_{name}"] * signs[name] for name in classes}
    _, preprocessor = ensemble.members[0]
    return draw(preprocessor, mean, attributions, chromosomes, signed)


def _places(ensemble: "Ensemble", dataset: AioDataset) -> tuple[list[str], list[int | None]]:
    """Chromosome and transcription start of the ensemble's genes; empty of those that the dataset lacks."""
    known = dataset.gene_table
    place = {symbol: (known.chroms[i], int(known.tss[i])) for i, symbol in enumerate(known.symbols)}
    pairs = [place.get(gene, ("", None)) for gene in ensemble.genes]
    return [chromosome for chromosome, _ in pairs], [tss for _, tss in pairs]


def _table(
    ensemble: "Ensemble", chromosomes: list[str], starts: list[int | None], values: Mapping[str, Any]
) -> "pd.DataFrame":
    import pandas as pd

    symbols = [*ensemble.genes, *kind_columns(ensemble.omics, ensemble.genes)]
    kinds = len(ensemble.kinds)
    places = {"symbol": symbols, "chromosome": chromosomes * kinds, "tss": pd.array(starts * kinds, dtype="Int64")}
    return pd.DataFrame({**places, **values})
