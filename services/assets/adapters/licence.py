"""The licence under which works become public: the words of the terms of service, and their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from services.assets.domain.publications import Licence

VERSION = "2025-10-29"
TEXT = Path(__file__).resolve().parents[1] / "documents" / f"licence-{VERSION}.txt"


def licence() -> Licence:
    """The one in force."""
    return Licence(VERSION, hashlib.sha256(TEXT.read_bytes()).hexdigest())
