"""AssetsService: one method per RPC."""

from services.assets.handler.desk import Desk
from services.assets.handler.inputs import Inputs
from services.assets.handler.outputs import Outputs
from services.assets.handler.packs import Packing
from services.assets.handler.public_packs import PublicPacks
from services.assets.handler.publishing import Publishing
from services.assets.handler.reading import Reading
from services.assets.handler.uploading import Uploading

__all__ = ["Desk", "Handler"]


class Handler(Uploading, Reading, Packing, PublicPacks, Publishing, Inputs, Outputs):
    """`crafiq.assets.v1.AssetsService`: what comes in, the library, packs, what is public, generation."""
