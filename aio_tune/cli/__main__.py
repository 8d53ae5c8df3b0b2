"""``python -m aio_tune.cli``, for where the entry point is not on the path."""

from aio_tune.cli import main

main()
