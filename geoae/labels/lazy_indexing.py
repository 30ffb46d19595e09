"""What makes an array lazy in xarray: the classes of its indexing that are private to it.

xarray's guide to backends tells authors to use them, but promises no stability, so they are imported here only.
"""

from xarray.core.indexing import (
    ExplicitIndexer,
    IndexingSupport,
    IndexSelResult,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

__all__ = ["ExplicitIndexer", "IndexSelResult", "IndexingSupport", "LazilyIndexedArray", "explicit_indexing_adapter"]
