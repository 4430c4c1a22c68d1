"""What an upload and an asset are, and what may happen to them; no I/O, no clock."""

from services.assets.domain.countdowns import Countdown
from services.assets.domain.library import Asset, Content, Delivery, Edge, Origin, StoredObject
from services.assets.domain.packs import Item, Pack
from services.assets.domain.publications import Publication
from services.assets.domain.renditions import PublicRendition, Rendering, Rendition
from services.assets.domain.rows import Row
from services.assets.domain.training import TrainingObjection, Withdrawn
from services.assets.domain.uploads import Declared, Upload

__all__ = [
    "Asset", "Content", "Countdown", "Declared", "Delivery", "Edge", "Item", "Origin", "Pack",
    "PublicRendition", "Publication", "Rendering", "Rendition", "Row", "StoredObject",
    "TrainingObjection", "Upload", "Withdrawn",
]  # fmt: skip
