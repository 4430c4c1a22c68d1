"""Every query of assets."""

from services.assets.repository.library import THE_END, Filter, Library, Removed
from services.assets.repository.packs import Filled, Packs
from services.assets.repository.publications import FIRST, Publications, Shown
from services.assets.repository.uploads import Uploads

__all__ = [
    "FIRST", "THE_END", "Filled", "Filter", "Library", "Packs", "Publications", "Removed", "Shown", "Uploads",
]  # fmt: skip
