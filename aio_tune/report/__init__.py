"""The report: results -> one HTML page that needs nothing but itself. It computes nothing.

page        sections of text, tables and figures -> HTML
sections    what is known of a study -> sections
"""

from aio_tune.report.page import Figure, Section, Table, render, write_page
from aio_tune.report.sections import headline, sections
from aio_tune.report.study import Study

__all__ = ["Figure", "Section", "Study", "Table", "headline", "render", "sections", "write_page"]
