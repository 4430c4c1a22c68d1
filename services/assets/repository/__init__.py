"""Every query of assets."""

from services.assets.repository.countdowns import Countdowns
from services.assets.repository.library import THE_END, Filter, Library, Removed
from services.assets.repository.packs import Dissolved, Filled, Packs
from services.assets.repository.publications import FIRST, Publications, Shown
from services.assets.repository.renditions import About, Renditions
from services.assets.repository.uploads import Uploads
from services.assets.repository.views import Views

__all__ = [
    "FIRST", "THE_END", "About", "Countdowns", "Dissolved", "Filled", "Filter", "Library", "Packs",
    "Publications", "Removed", "Renditions", "Shown", "Uploads", "Views",
]  # fmt: skip
