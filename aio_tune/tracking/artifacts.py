"""Figures and tables of a run, where MLflow's pages show them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aio_tune.tracking.client import connect, store_errors

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def log_figures(uri: str, run_id: str, figures: "Mapping[str, Figure]") -> None:
    """Keep each figure as ``figures/<name>.png`` of the run.

    Args:
        uri: the tracking store.
        run_id: e.g. from ``Mirror.trial_run``.
        figures: file name without ending -> matplotlib figure.

    Raises:
        RegistryError: the store cannot be reached or the run does not exist.
    """
    with store_errors(uri):
        send_figures(connect(uri), run_id, figures)


def log_tables(uri: str, run_id: str, tables: "Mapping[str, pd.DataFrame]") -> None:
    """Keep each table as ``tables/<name>.csv`` of the run, which MLflow's artifact page shows as a table.

    Raises:
        RegistryError: the store cannot be reached or the run does not exist.
    """
    with store_errors(uri):
        send_tables(connect(uri), run_id, tables)


def log_texts(uri: str, run_id: str, texts: Mapping[str, str]) -> None:
    """Keep each text as ``<name>.txt`` of the run.

    Raises:
        RegistryError: the store cannot be reached or the run does not exist.
    """
    with store_errors(uri):
        client = connect(uri)
        for name, text in texts.items():
            client.log_text(run_id, text, f"{name}.txt")


def send_figures(client: Any, run_id: str, figures: "Mapping[str, Figure]") -> None:
    """``log_figures`` with a client at hand."""
    for name, figure in figures.items():
        client.log_figure(run_id, figure, f"figures/{name}.png")


def send_tables(client: Any, run_id: str, tables: "Mapping[str, pd.DataFrame]") -> None:
    """``log_tables`` with a client at hand."""
    for name, table in tables.items():
        client.log_text(run_id, table.to_csv(index=False), f"tables/{name}.csv")
