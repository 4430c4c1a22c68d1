"""The documents that are packaged with the code: written by lawyers, outside of this service."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import datetime
from pathlib import Path

from services.privacy.domain import Document, DocumentKind

DOCUMENTS = Path(__file__).parents[1] / "documents"


def packaged(folder: Path = DOCUMENTS) -> list[Document]:
    """The posted documents that `versions.toml` in `folder` lists, with their texts as they stand.

    Raises FileNotFoundError or KeyError if the list names what is not there, ValueError for a kind that
    does not exist.
    """
    listed = tomllib.loads((folder / "versions.toml").read_text(encoding="utf-8"))
    return [_document(folder, entry) for entry in listed["document"]]


def _document(folder: Path, entry: dict[str, object]) -> Document:
    # Bytes, not text mode: the hash is of what is packaged, whatever the platform's line ends.
    content = (folder / str(entry["file"])).read_bytes()
    effective_at = entry["effective"]
    if not isinstance(effective_at, datetime) or effective_at.tzinfo is None:
        raise ValueError(f"{entry['file']}: `effective` needs a date, a time and a zone")
    return Document(
        kind=DocumentKind(str(entry["kind"])),
        version=str(entry["version"]),
        text=content.decode("utf-8"),
        sha256=hashlib.sha256(content).hexdigest(),
        effective_at=effective_at,
        material=bool(entry["material"]),
    )
