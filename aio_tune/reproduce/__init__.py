"""The paper's numbers, rebuilt from the files at hand as far as they allow.

Source of everything expected here: Chen et al., Breast Cancer Res 23:96, 2021, with its supplement.

    base         what an item is, and how it can turn out
    clinical     Table 1, Fig. 4a, SCAN-B's own calls, majority classes: the series matrices are enough
    expression   sizes of the tables, shared genes, correlation of the cohorts
    networks     Tables 2, 3 and S1 to S5: finished searches, if they are the same work
"""

from aio_tune.reproduce.base import Item, Verdict
from aio_tune.reproduce.clinical import clinical_items, table_one_items
from aio_tune.reproduce.expression import expression_items
from aio_tune.reproduce.networks import SearchResult, network_items, search_result

__all__ = [
    "Item",
    "SearchResult",
    "Verdict",
    "clinical_items",
    "expression_items",
    "network_items",
    "search_result",
    "table_one_items",
]
