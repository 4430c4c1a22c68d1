"""Every query of assets."""

from services.assets.repository.library import THE_END, Filter, Library, Removed
from services.assets.repository.uploads import Uploads

__all__ = ["THE_END", "Filter", "Library", "Removed", "Uploads"]
