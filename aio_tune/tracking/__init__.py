"""Tracking: MLflow runs, the model registry and promotion; the only room that imports mlflow.

    store       where runs and models are kept: one SQLite file, or a server
    runs        ledger event -> what MLflow is to be told (pure)
    mirror      tails a ledger and tells MLflow, in the background
    notes       how far it came, for each store
    artifacts   figures, tables and texts of a run
    pyfunc      ensemble folder -> MLflow model folder (``loader`` is the script inside it)
    card        the description of a registered version
    registering the best trial's models into the registry
    registry    list and find models
    gates       bounds and files that are looked at before a promotion
    promotion   aliases and their audit trail
    turns       one promotion at a time
    copying     a version to another registry
    evaluations results on unseen cohorts, linked to the model they belong to
    ui          the command that serves MLflow's user interface

MLflow is imported inside functions, through ``client.connect``: the import takes seconds.
"""

from aio_tune.tracking.artifacts import log_figures, log_tables, log_texts
from aio_tune.tracking.copying import copy_version
from aio_tune.tracking.evaluations import (
    StoredEvaluation,
    StoredHarmonisation,
    log_evaluation,
    log_harmonisation,
    read_evaluations,
    read_harmonisations,
)
from aio_tune.tracking.gates import Check, Gate, parse_gate
from aio_tune.tracking.mirror import Mirror
from aio_tune.tracking.promotion import Promotion, audit_trail, check_promotion, promote, undo
from aio_tune.tracking.registering import Registration, register_search
from aio_tune.tracking.registry import (
    ALIASES,
    ModelSummary,
    ResolvedModel,
    VersionSummary,
    list_models,
    resolve,
)
from aio_tune.tracking.store import check_store, ensure_store, tracking_uri
from aio_tune.tracking.ui import ui_command, ui_environment

__all__ = [
    "ALIASES",
    "Check",
    "Gate",
    "Mirror",
    "ModelSummary",
    "Promotion",
    "Registration",
    "ResolvedModel",
    "StoredEvaluation",
    "StoredHarmonisation",
    "VersionSummary",
    "audit_trail",
    "check_promotion",
    "check_store",
    "copy_version",
    "ensure_store",
    "list_models",
    "log_evaluation",
    "log_figures",
    "log_harmonisation",
    "log_tables",
    "log_texts",
    "parse_gate",
    "promote",
    "read_evaluations",
    "read_harmonisations",
    "register_search",
    "resolve",
    "tracking_uri",
    "ui_command",
    "ui_environment",
    "undo",
]
