"""What is wrong with a cluster, before a search finds out.

``strangers`` knocks at its doors without a token, ``facts`` is what each node says of itself, ``checks`` is the list of
what is judged from these, ``examine`` gathers and judges.
"""

from aio_tune.doctor.checks import CHECKS, Finding, Level
from aio_tune.doctor.examine import Wanted, examine

__all__ = ["CHECKS", "Finding", "Level", "Wanted", "examine"]
