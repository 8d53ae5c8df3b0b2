"""A page of sections as one HTML file: no script, no request, every figure with a text and its data.

Pictures and data are inside the page as ``data:`` addresses, so it can be sent, kept and opened without a network. It
forbids itself to ask for anything by a content security policy.
"""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_tune.errors import EvaluationError
from aio_tune.files import written_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

WIDE = 1.8
TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class Table:
    """A table with its caption.

    Attributes:
        caption: above it.
        columns: headings; the first column names the rows.
        rows: cells as they are to be read.
        note: below it; empty for none.
        data: what the reader may download; by default the cells.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    data: "pd.DataFrame | None" = None

    def csv(self) -> str:
        """Its data as CSV."""
        import pandas as pd

        table = pd.DataFrame(list(self.rows), columns=list(self.columns)) if self.data is None else self.data
        return str(table.to_csv(index=False))


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure.

    Attributes:
        caption: below it.
        drawing: the figure.
        text: the same in words, for those who do not see it; says what is to be learnt from it.
        data: the numbers that are drawn.
    """

    caption: str
    drawing: "Drawing"
    text: str
    data: "pd.DataFrame"

    @property
    def wide(self) -> bool:
        """Whether it takes the page's whole width."""
        width, height = self.drawing.get_size_inches()
        return bool(width > WIDE * height)

    def svg(self) -> str:
        """The drawing as SVG, the same for the same drawing: without date, and with ids that are not random."""
        import matplotlib

        buffer = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": "aio_tune"}):
            self.drawing.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    def csv(self) -> str:
        """Its data as CSV."""
        return str(self.data.to_csv(index=False))


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        paragraphs: text, before tables and figures.
        tables: in order.
        figures: in order.
    """

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=tuple)
    figures: Sequence[Figure] = field(default_factory=tuple)

    @property
    def anchor(self) -> str:
        """Its name within the page."""
        return slug(self.title)


def slug(text: str) -> str:
    """A text as part of an address or file name: ``"Table 1"`` -> ``"table-1"``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page as HTML. Everything in it is escaped: names come from users and their files."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"slug": slug, "csv_address": _csv_address, "svg_address": _svg_address}
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        title=title, subtitle=subtitle, sections=sections
    )


def write_page(html: str, path: Path) -> None:
    """Write a page, whole or not at all.

    Raises:
        EvaluationError: the file cannot be written.
    """
    try:
        with written_whole(path) as file:
            file.write(html)
    except OSError as error:
        raise EvaluationError(f"Expected to write the report to {path}. Received: {error}.") from error


def _csv_address(part: Any) -> str:
    return _address("text/csv;charset=utf-8", part.csv())


def _svg_address(part: Any) -> str:
    return _address("image/svg+xml", part.svg())


def _address(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"
