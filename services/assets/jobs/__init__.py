"""What assets does when nobody is calling: what nobody has or uses goes, what is to be seen is drawn."""

from services.assets.jobs.blending import Blending, shuffled
from services.assets.jobs.housekeeping import Housekeeper
from services.assets.jobs.rendering import Artist
from services.assets.jobs.sweeping import WRITING, Sweeper

__all__ = ["WRITING", "Artist", "Blending", "Housekeeper", "Sweeper", "shuffled"]
