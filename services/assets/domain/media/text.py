"""Plain text: UTF-8 (RFC 3629) without NUL; a byte order mark goes."""

from __future__ import annotations

import codecs

from services.assets.domain.media.cleaned import Cleaned
from services.assets.domain.refusals import ContentDamaged


def is_text(data: bytes) -> bool:
    """Whether these bytes are text."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def clean(data: bytes) -> Cleaned:
    """Keep all of it; raises ContentDamaged if it is none."""
    if not is_text(data):
        raise ContentDamaged(problem="it is not UTF-8 text")
    content = data
    while content.startswith(codecs.BOM_UTF8):
        content = content.removeprefix(codecs.BOM_UTF8)
    if not content:
        raise ContentDamaged(problem="it is empty")
    return Cleaned((content,))
