"""Files as they come, and what of them may stay: pure functions on bytes.

Each type has a module with `clean(data) -> Cleaned`, which keeps an allow-list of parts and drops the
rest: metadata, unknown parts, and whatever follows the end. It raises ContentDamaged,
ContentUnsupported or PictureTooLarge and nothing else, whatever the bytes.
"""

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.media.types import TYPES, MediaKind, MediaType, clean, media_type, sniff

__all__ = ["TYPES", "Cleaned", "MediaKind", "MediaType", "clean", "media_type", "sniff"]
