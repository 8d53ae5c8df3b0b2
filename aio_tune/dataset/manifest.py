"""``manifest.json``: what a dataset folder holds, and the proof that it is as it was written."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aio_tune.cohorts.omics import KIND_PATTERN, OmicsUnit
from aio_tune.errors import DatasetError
from aio_tune.kinds import EXPRESSION

FORMAT: Final = "aio-dataset"
FORMAT_VERSION: Final = 2
"""The latest. A dataset of expression alone is still written as version 1, which every release can read."""
MANIFEST = "manifest.json"

_PREPARE_AGAIN = "Prepare the dataset again."
_LATER_RELEASE = "It was written by a later release: use that one."

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Counts = dict[str, dict[str, Count]]  # task -> class or "missing" -> how many


class _Entry(BaseModel):
    # strict: a number that became text, or the reverse, is an edit. Unknown fields come from a later release that kept
    # format v1 readable, and mean nothing to this one.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class GeneEntries(_Entry):
    """The genes, in the order of the expression values: by chromosome, then transcription start."""

    symbols: tuple[str, ...]
    chroms: tuple[str, ...]
    tss: tuple[int, ...] = Field(description="transcription start, base pairs; the end of a gene on the minus strand")
    source: str = Field(description="name of the file the positions come from; empty where unknown")
    source_sha256: Sha256 | Literal[""]
    aliases: str = Field(default="", description="name of the table of gene aliases; empty if there was none")
    aliases_sha256: Sha256 | Literal[""] = ""

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if not 0 < len(self.symbols) == len(self.chroms) == len(self.tss):
            raise ValueError("symbols, chroms and tss differ in length or are empty")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("a gene is listed twice")
        return self


class TaskEntry(_Entry):
    """A label column: its title and its classes in order."""

    title: str
    classes: tuple[str, ...]
    sha256: Sha256 | Literal[""] = Field(
        default="", description="of its declaration; empty where unknown", exclude_if=lambda sha256: not sha256
    )


class TableOneEntry(_Entry):
    """Table 1 of a cohort, twice."""

    subjects: Counts = Field(description="all subjects of the clinical table, with or without a profile")
    profiled: Counts = Field(description="the samples in the dataset")


class CohortEntry(_Entry):
    """Where one cohort's samples came from."""

    name: str
    samples: Count = Field(description="how many are in the dataset")
    subjects: Count = Field(description="how many are in the clinical table, with or without a profile")
    simulated: bool
    sources: dict[str, Sha256] = Field(description="file name -> sha256 of every file read")
    notes: tuple[str, ...]
    table_one: TableOneEntry


class KindEntry(_Entry):
    """A kind of omics beside expression; since format version 2."""

    name: str = Field(pattern=KIND_PATTERN)
    unit: OmicsUnit = Field(strict=False)
    profiles: dict[str, Count] = Field(description="cohort -> how many of its samples have the kind")


class ShardEntry(_Entry):
    """One Parquet file."""

    # The pattern keeps the path inside the folder.
    path: str = Field(pattern=r"^shards/[A-Za-z0-9_-][A-Za-z0-9._-]*\.parquet$")
    cohort: str
    rows: Annotated[int, Field(gt=0)]
    bytes: Count
    sha256: Sha256


class Manifest(_Entry):
    """Everything about a dataset but the samples themselves. The same inputs give the same manifest, to the byte."""

    format: Literal["aio-dataset"] = FORMAT
    format_version: Literal[1, 2] = 1
    package_version: str = Field(description="release of aio_tune that wrote the folder")
    unit: Literal["log2(TPM+1)"]
    requested_genes: int | None = Field(description="how many genes were asked for at most; null is all")
    genes: GeneEntries
    kinds: tuple[KindEntry, ...] = Field(default=(), description="beside expression; in format version 2 only")
    tasks: dict[str, TaskEntry]
    cohorts: tuple[CohortEntry, ...] = Field(min_length=1)
    dropped: dict[str, Count] = Field(description="why genes were left out -> how many")
    dropped_genes: dict[str, tuple[str, ...]] = Field(default={}, description="the same genes, by symbol")
    shards: tuple[ShardEntry, ...]

    @model_validator(mode="after")
    def _shards_hold_the_cohorts(self) -> Self:
        held = {cohort.name: 0 for cohort in self.cohorts}
        for shard in self.shards:
            if shard.cohort not in held:
                raise ValueError(f"shard {shard.path} is of a cohort that is not listed, {shard.cohort}")
            held[shard.cohort] += shard.rows
        if held != {cohort.name: cohort.samples for cohort in self.cohorts}:
            raise ValueError("the shards' rows do not add up to the cohorts' samples")
        return self

    @model_validator(mode="after")
    def _version_says_whether_there_are_kinds(self) -> Self:
        names = [kind.name for kind in self.kinds]
        if (self.format_version == 1) != (not names):
            raise ValueError(f"format version {self.format_version} with {len(names)} kinds beside expression")
        if len(set(names)) < len(names) or EXPRESSION in names:
            raise ValueError("a kind is listed twice")
        if any(kind.profiles.keys() != {cohort.name for cohort in self.cohorts} for kind in self.kinds):
            raise ValueError("a kind does not count the profiles of every cohort")
        return self

    @property
    def kind_names(self) -> tuple[str, ...]:
        """Expression, and then every further kind."""
        return (EXPRESSION, *(kind.name for kind in self.kinds))

    def facts(self) -> dict[str, Any]:
        """The manifest in JSON values, without the fields that came later and are empty."""
        content = self.model_dump(mode="json")
        # The first folders of version 1 were written before there were these.
        for later in ("kinds", "dropped_genes"):
            if not content[later]:
                del content[later]
        if not self.genes.aliases:
            del content["genes"]["aliases"], content["genes"]["aliases_sha256"]
        return content

    @property
    def sources(self) -> frozenset[tuple[str, str]]:
        """(file name, sha256) of every file that went in, the one of gene positions too."""
        files = {(self.genes.source, self.genes.source_sha256)} if self.genes.source_sha256 else set()
        for cohort in self.cohorts:
            files |= cohort.sources.items()
        return frozenset(files)


def fingerprint(content: dict[str, Any]) -> str:
    """SHA-256 (hex) of a manifest without its own ``fingerprint``, as JSON with sorted keys and no spaces."""
    bare = {key: value for key, value in content.items() if key != "fingerprint"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def release() -> str:
    """The release of aio_tune that is running; ``"0"`` in a checkout that was never installed."""
    try:
        return version("aio-tune")
    except PackageNotFoundError:
        return "0"


def to_json(manifest: Manifest) -> str:
    """The text of ``manifest.json``, its fingerprint included."""
    content = manifest.facts()
    return json.dumps(content | {"fingerprint": fingerprint(content)}, indent=1, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a dataset folder, and its fingerprint.

    Raises:
        DatasetError: it is missing, unreadable, of an unknown format version, or not as it was written.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(
            f"Expected an AIO dataset in {folder}. Received a folder without {MANIFEST}."
            if folder.is_dir()
            else f"Expected an AIO dataset in {folder}. Received nothing: there is no such folder.",
            "Make one with `aio-tune prepare`.",
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"Expected JSON in {path}. Received: {error}.", _PREPARE_AGAIN) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DatasetError(f"Expected the manifest of an AIO dataset in {path}. Received another kind of file.")
    version = content.get("format_version")
    if version not in range(1, FORMAT_VERSION + 1) or not isinstance(version, int) or isinstance(version, bool):
        raise DatasetError(
            f"Expected format version {FORMAT_VERSION} or before in {path}. Received {version!r}.",
            _LATER_RELEASE if isinstance(version, int) and version > FORMAT_VERSION else _PREPARE_AGAIN,
        )
    actual = fingerprint(content)
    if content.get("fingerprint") != actual:
        raise DatasetError(
            f"Expected a manifest with fingerprint {str(content.get('fingerprint'))[:12]} in {path}. "
            f"Received {actual[:12]}: it was edited or damaged.",
            _PREPARE_AGAIN,
        )
    try:
        return Manifest.model_validate_json(json.dumps(content)), actual
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise DatasetError(
            f"Expected a complete manifest in {path}. Received at {where}: {first['msg']}.", _PREPARE_AGAIN
        ) from error
