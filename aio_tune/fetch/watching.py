"""How a caller follows a download."""


class Watcher:
    """Follows downloads; does nothing by itself, override what you want to know."""

    def received(self, name: str, done: int, total: int | None) -> None:
        """``done`` bytes of the file are on the disk, of ``total``; None where the server does not tell."""

    def checking(self, name: str) -> None:
        """All bytes came; the file is read to its end once more."""

    def note(self, text: str) -> None:
        """Something the user may want to know, in one line: a file that starts anew, a lost connection."""
