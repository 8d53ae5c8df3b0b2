"""Every error that aio_tune raises on purpose.

AioTuneError                 what the command line shows as one line, exit status 1
├── FetchError               a public file cannot be downloaded, or what came is not the whole file
├── CohortError              a cohort's files cannot be read honestly
├── DatasetError             an AIO dataset folder is missing, damaged or of an unknown version
├── SpaceError               a search-space file or an override of it is wrong
├── TrialError               one trial cannot go on (network cannot be built, loss is not finite);
│                            the search records it as FAIL and continues
├── SearchError              a search cannot start, go on or be resumed
├── LaunchError              a cluster, or a node of it, cannot be started
├── RegistryError            a model, version, alias or stored model folder is missing or refused
│   └── GateError            a promotion gate was not passed
└── EvaluationError          an evaluation would not be honest or is not possible
└── OverlapError         the cohort holds patients the model was trained on
"""


class AioTuneError(Exception):
    """Base of the tree.

    Args:
        problem: what was expected and what came, in one line.
        hint: what to do next, in one line; shown after the problem.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(f"{problem} {hint}".strip())


class FetchError(AioTuneError):
    """A public file cannot be downloaded, or what came is not the whole file."""


class CohortError(AioTuneError):
    """A cohort's files cannot be read honestly."""


class DatasetError(AioTuneError):
    """An AIO dataset folder is missing, damaged or of an unknown version."""


class SpaceError(AioTuneError):
    """A search-space file, or an override of it, is wrong."""


class TrialError(AioTuneError):
    """One trial cannot go on; the search records it as FAIL and continues."""


class SearchError(AioTuneError):
    """A search cannot start, go on or be resumed."""


class LaunchError(AioTuneError):
    """A cluster, or a node of it, cannot be started."""


class RegistryError(AioTuneError):
    """A model, version, alias or stored model folder is missing or refused."""


class GateError(RegistryError):
    """A promotion gate was not passed."""


class EvaluationError(AioTuneError):
    """An evaluation would not be honest, or is not possible."""


class OverlapError(EvaluationError):
    """The cohort holds patients that the model was trained on."""
