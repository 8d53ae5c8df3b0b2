"""What can be fetched: which files a series has, and where they lie.

GEO: ``<base>/geo/series/GSE96nnn/GSE96058/suppl/FILE`` is what the authors deposited, ``.../matrix/FILE`` a series
matrix (https://www.ncbi.nlm.nih.gov/geo/info/download.html). GENCODE: ``<base>/Gencode_human/release_47/FILE``
(https://www.gencodegenes.org/human/releases.html). Every file is gzip: its checksum at the end is what proves it whole,
as neither site signs what it serves. A new series is one new entry of `SERIES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aio_tune.errors import FetchError

GEO_BASE = "https://ftp.ncbi.nlm.nih.gov"
GENCODE_BASE = "https://ftp.ebi.ac.uk/pub/databases/gencode"
GENCODE = "GENCODE"
GENCODE_RELEASE = 47
"""Fixed, so that a dataset prepared next year has the same genes in the same order."""

SERIES: Mapping[str, tuple[str, ...]] = {
    "GSE96058": (
        "suppl/GSE96058_gene_expression_3273_samples_and_136_replicates_transformed.csv.gz",
        "matrix/GSE96058-GPL11154_series_matrix.txt.gz",
        "matrix/GSE96058-GPL18573_series_matrix.txt.gz",
    ),
    "GSE81538": (
        "suppl/GSE81538_gene_expression_405_transformed.csv.gz",
        "matrix/GSE81538_series_matrix.txt.gz",
    ),
    "GSE163882": (
        "suppl/GSE163882_all.data.tpms_222Samples.csv.gz",
        "matrix/GSE163882_series_matrix.txt.gz",
    ),
}
"""Files of each series, by their paths below the series' folder."""

ACCESSIONS = (*SERIES, GENCODE)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a series: its name, kept as the site has it, and its address."""

    name: str
    address: str


@dataclass(frozen=True)
class Sources:
    """Where the files lie.

    Attributes:
        geo: address of GEO or of a mirror that is laid out like it.
        gencode: address of GENCODE's folder, or of a mirror of it.
        gencode_release: human release; the positions of its basic annotation are used.

    Raises:
        FetchError: an address is not http(s), or has a user name, a query or a fragment.
    """

    geo: str = GEO_BASE
    gencode: str = GENCODE_BASE
    gencode_release: int = GENCODE_RELEASE

    def __post_init__(self) -> None:
        _check_address(self.geo)
        _check_address(self.gencode)

    def files_of(self, accession: str) -> tuple[RemoteFile, ...]:
        """The files of an accession.

        Raises:
            FetchError: it is none of `ACCESSIONS`.
        """
        if accession == GENCODE:
            release = self.gencode_release
            name = f"gencode.v{release}.basic.annotation.gtf.gz"
            return (RemoteFile(name, f"{self.gencode.rstrip('/')}/Gencode_human/release_{release}/{name}"),)
        if accession not in SERIES:
            raise FetchError(f"Expected an accession of {', '.join(ACCESSIONS)}. Received {accession!r}.")
        folder = f"{self.geo.rstrip('/')}/geo/series/{accession[:-3]}nnn/{accession}"
        return tuple(RemoteFile(path.rpartition("/")[2], f"{folder}/{path}") for path in SERIES[accession])


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # is a number between 0 and 65535, or raises
    except ValueError as error:
        raise FetchError(f"Expected a web address. Received {address!r} ({error}).") from error
    if parts.username is not None or parts.password is not None:
        # Not repeated here: a password would end in logs, as it would in the record of what was fetched.
        raise FetchError("Expected a web address without user name and password. Received one that holds them.")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise FetchError(f"Expected an address such as {GEO_BASE}. Received {address!r}.")
