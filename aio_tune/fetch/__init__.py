"""Public cohort files and gene positions, downloaded so that a file that is there is whole.

catalogue    which files there are, and where
fetching     accessions -> folders of files; the entry
download     one file: asked for, gone on with, checked
part         a file that is not whole yet
record       fetched.json
verify       gzip to its end, sha256
patience     waits and tries
web          encrypted connections, failures told apart
watching     how a caller follows
"""

from aio_tune.fetch.catalogue import ACCESSIONS, GENCODE, GENCODE_BASE, GENCODE_RELEASE, GEO_BASE, SERIES, Sources
from aio_tune.fetch.fetching import LIMIT, Outcome, fetch
from aio_tune.fetch.patience import Patience
from aio_tune.fetch.record import RECORD, Fetched
from aio_tune.fetch.watching import Watcher

__all__ = [
    "ACCESSIONS",
    "GENCODE",
    "GENCODE_BASE",
    "GENCODE_RELEASE",
    "GEO_BASE",
    "LIMIT",
    "RECORD",
    "SERIES",
    "Fetched",
    "Outcome",
    "Patience",
    "Sources",
    "Watcher",
    "fetch",
]
