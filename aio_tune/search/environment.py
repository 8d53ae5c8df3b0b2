"""What a search runs on, in words: for whoever has to repeat it, or wonders why another machine disagrees."""

import os
import platform
from importlib import metadata

import psutil


def environment_text() -> str:
    """This machine, Python, and every installed package with its version, as ``pip freeze`` has them."""
    facts = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    packages = {f"{one.metadata['Name']}=={one.version}" for one in metadata.distributions()}
    return "\n".join([*(f"# {key}: {value}" for key, value in facts.items()), *sorted(packages, key=str.lower)]) + "\n"
