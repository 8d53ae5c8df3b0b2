"""Fixtures that several rooms share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real GSE96058 files named by AIO_TUNE_REAL_DATA; the test is skipped where it is not set."""
    folder = os.environ.get("AIO_TUNE_REAL_DATA")
    if not folder:
        pytest.skip("AIO_TUNE_REAL_DATA is not set")
    return Path(folder)
