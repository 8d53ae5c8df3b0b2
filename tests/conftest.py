"""Fixtures that several rooms share."""

import os
import signal
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So are the background jobs of a shell started, and what the tests start would inherit it and not hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real GSE96058 files named by AIO_TUNE_REAL_DATA; the test is skipped where it is not set."""
    folder = os.environ.get("AIO_TUNE_REAL_DATA")
    if not folder:
        pytest.skip("AIO_TUNE_REAL_DATA is not set")
    return Path(folder)
