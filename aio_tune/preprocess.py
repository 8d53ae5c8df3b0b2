"""Everything that is fitted between expression and picture: harmonising, the scaling of values, the layout of genes.

Fitted on training rows only, in that order, each on what the one before makes of them. Importing this module imports
NumPy alone, since it travels inside registered models.

Padding pixels have the value 0 after scaling, which is
    minmax   as dark as the lowest expression seen in training,
    zscore   the training mean, neither high nor low,
    rank     the rank of the sample's median gene.

Further kinds of omics are channels beside those of expression, each with a scaling of its own and the layout of
expression, and are not harmonised; see ``aio_tune.channels``.

A fitted preprocessor is one ``.npz`` file. Format version 2 has a harmoniser, version 3 further kinds, version 4 which
of their genes no training row had; each file is of the first version that can say what it holds. Files of version 1,
from before there were harmonisers, mean ``none``; to those of version 3 all genes were measured. All are read for good.
"""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.channels import Channels, picture_shape
from aio_tune.errors import RegistryError, TrialError
from aio_tune.expression import Floats, Matrix, Rows, as_rows
from aio_tune.harmonise import HARMONISERS, Harmoniser, Unchanged
from aio_tune.kinds import EXPRESSION, SomeKinds, select
from aio_tune.layout import Layout, Shape, make_layout
from aio_tune.scaling import SCALINGS, Scaling

FORMAT = "aio_tune preprocessor"
VERSION = 4


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """From expression to pictures, as fitted on one fold's training rows.

    Attributes:
        scaling: fitted scaling of values.
        layout: which gene is which pixel.
        harmoniser: what comes before both.
        channels: kinds of omics beside expression, in the order of the columns.
    """

    scaling: Scaling
    layout: Layout
    harmoniser: Harmoniser = field(default_factory=Unchanged)
    channels: tuple[Channels, ...] = ()

    @classmethod
    def fit(
        cls,
        scaling: str,
        layout: str,
        x_train: Matrix | Rows,
        seed: int,
        cache: Path | None = None,
        harmoniser: str = Unchanged.name,
        kinds: Sequence[str] = (EXPRESSION,),
    ) -> "Preprocessor":
        """Fit on training rows.

        Args:
            scaling: name in ``SCALINGS``.
            layout: name in ``aio_tune.layout.LAYOUTS``, or a size such as ``128x128x1``.
            x_train: expression of the training rows alone, float32, shape (n, genes), log2(TPM+1); read in pieces,
                all at once only by transductive harmonisers. With further kinds shape (n, len(kinds) * genes), NaN
                where one was not measured.
            seed: of layouts that draw random numbers, 0 or more.
            cache: folder for layouts that are costly to fit; None fits anew.
            harmoniser: name in ``aio_tune.harmonise.HARMONISERS``.
            kinds: of omics that stand side by side in ``x_train``, expression first.

        Raises:
            TrialError: scaling, layout or harmoniser are unknown, or the genes do not fit into the layout's size.
            ValueError: there is no row or gene, a value is not finite, or the kinds do not divide the columns.
        """
        if scaling not in SCALINGS:
            raise TrialError(f"Expected a scaling, one of {', '.join(SCALINGS)}. Received {scaling!r}.")
        if harmoniser not in HARMONISERS:
            raise TrialError(f"Expected a harmoniser, one of {', '.join(HARMONISERS)}. Received {harmoniser!r}.")
        if len(x_train.shape) != 2 or 0 in x_train.shape:
            raise ValueError(f"Expected training rows of shape (n, genes). Received {x_train.shape}.")
        if not kinds or kinds[0] != EXPRESSION or x_train.shape[1] % len(kinds):
            raise ValueError(f"Expected columns of {EXPRESSION} and further kinds. Received {x_train.shape}, {kinds}.")
        channels = tuple(
            Channels.fit(kind, SCALINGS[scaling], as_rows(SomeKinds(x_train, kinds, (kind,)))) for kind in kinds[1:]
        )
        rows = as_rows(select(x_train, kinds, (EXPRESSION,))).through(_finite)
        harmonise = HARMONISERS[harmoniser].fit(rows)
        rows = rows.through(harmonise.reference)
        scale = SCALINGS[scaling].fit(rows)
        return cls(scale, make_layout(layout, rows, seed, cache), harmonise, channels)

    @property
    def shape(self) -> Shape:
        """Shape of one picture, (height, width, channels) or (length, channels)."""
        return picture_shape(self.layout.shape, len(self.kinds))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of omics that stand side by side in the columns of what is drawn."""
        return (EXPRESSION, *(one.kind for one in self.channels))

    @property
    def least_batch(self) -> int:
        """Fewest samples that ``transform`` takes: more than 0 only if the harmoniser is transductive."""
        return self.harmoniser.least_batch()

    def transform(self, x: Floats) -> Floats:
        """Draw pictures of samples other than the training rows: ``harmonise``, then ``draw``.

        Args:
            x: float32, shape (n, kinds * genes), kinds, genes and units as in training; NaN where a kind beside
                expression was not measured, which makes its channels and their mask 0. If the harmoniser is
                transductive the rows are one batch: a fold's validation rows, or a whole target cohort.

        Returns:
            float32, shape (n, *shape), 0 at padding pixels: the channels of expression, and then of each further kind
            its own and those of its mask.

        Raises:
            ValueError: the number of columns is another one, expression is not finite, or there are fewer samples
                than ``least_batch``.
        """
        return self.draw(self.harmonise(x))

    def transform_training(self, x: Floats) -> Floats:
        """Draw pictures of training rows, all or some: each by itself, whatever the harmoniser.

        Args:
            x: as for ``transform``.

        Returns:
            As ``transform``.

        Raises:
            ValueError: the number of columns is another one, or expression is not finite.
        """
        return self.draw(self._each(self.harmoniser.reference, x))

    def harmonise(self, x: Floats) -> Floats:
        """The first half of ``transform``: a batch, shape of ``x``, as ``draw`` wants it. It may be ``x`` itself.

        Raises:
            ValueError: as ``transform``.
        """
        return self._each(self.harmoniser.transform, x)

    def draw(self, harmonised: Floats) -> Floats:
        """The second half of ``transform``. Rows do not affect one another, so they may come in pieces."""
        n = self.layout.n_genes
        parts = [self.layout.to_image(self.scaling.transform(harmonised[:, :n]))]
        for i, one in enumerate(self.channels, start=1):
            parts += one.draw(harmonised[:, i * n : (i + 1) * n], self.layout)
        return np.concatenate(parts, axis=-1) if self.channels else parts[0]

    def _each(self, harmonise: Callable[[Floats], Floats], x: Floats) -> Floats:
        """``x`` with its expression harmonised, and the other kinds as they are."""
        n = self.layout.n_genes
        if x.ndim != 2 or x.shape[1] != len(self.kinds) * n:
            raise ValueError(f"Expected shape (n, {len(self.kinds) * n}). Received {x.shape}.")
        expression = harmonise(_finite(x[:, :n]))
        return np.concatenate([expression, x[:, n:]], axis=1) if self.channels else expression

    def save(self, path: Path) -> None:
        """Write one ``.npz`` file: a JSON header (format, version, names) and plain arrays, no pickle."""
        facts: dict[str, Any] = {"scaling": self.scaling.name, "harmoniser": self.harmoniser.name}
        if self.channels:
            facts["kinds"] = self.kinds
        header = json.dumps({"format": FORMAT, "version": self._version(), **facts})
        arrays = {f"scaling_{name}": array for name, array in self.scaling.state().items()}
        arrays |= {f"harmoniser_{name}": array for name, array in self.harmoniser.state().items()}
        arrays |= {f"layout_{name}": array for name, array in self.layout.state().items()}
        for i, one in enumerate(self.channels, start=1):
            arrays |= {f"kind{i}_{name}": array for name, array in one.scaling.state().items()}
            if not one.measured.all():
                arrays[f"measured{i}"] = one.measured
        with path.open("wb") as file:
            np.savez(file, header=np.array(header), **arrays)  # type: ignore[arg-type]

    def _version(self) -> int:
        """The first version of the format that knows all that there is: one for omics, one for genes nobody had."""
        if not self.channels:
            return 2
        return 3 if all(one.measured.all() for one in self.channels) else 4

    @classmethod
    def load(cls, path: Path) -> "Preprocessor":
        """Read what ``save`` wrote, in this version of the format or an earlier one, bit by bit the same.

        Raises:
            RegistryError: the file is missing, damaged, of a later version, or not a preprocessor.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(str(arrays["header"]))
            if header["format"] != FORMAT or header["version"] not in range(1, VERSION + 1):
                raise RegistryError(
                    f"Expected {FORMAT} version {VERSION} or before in {path}. Received {header}.",
                    "If a newer aio_tune wrote it, update this one.",
                )
            name = Unchanged.name if header["version"] == 1 else header["harmoniser"]
            harmoniser = HARMONISERS[name].from_state(_part(arrays, "harmoniser_"))
            scaling = SCALINGS[header["scaling"]].from_state(_part(arrays, "scaling_"))
            layout = Layout.from_state(_part(arrays, "layout_"))
            kinds = header["kinds"] if header["version"] >= 3 else [EXPRESSION]
            channels = tuple(
                Channels(
                    kind,
                    SCALINGS[header["scaling"]].from_state(_part(arrays, f"kind{i}_")),
                    arrays.get(f"measured{i}", np.ones(layout.n_genes, bool)),
                )
                for i, kind in enumerate(kinds[1:], start=1)
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise RegistryError(f"Expected a fitted preprocessor at {path}. Received: {error}.") from error
        return cls(scaling, layout, harmoniser, channels)


def _part(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _finite(x: Floats) -> Floats:
    x = np.asarray(x, dtype=np.float32)
    if not np.isfinite(x).all():
        raise ValueError("Expected finite expression values. Received NaN or infinity.")
    return x
