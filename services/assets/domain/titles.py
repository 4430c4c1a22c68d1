"""Titles: what people call their things, and the names their files get when they are downloaded."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from services.assets.domain.refusals import TitleNotAllowed

_CONTROL = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# The joiners are format characters that Persian, Hindi and emoji need; so are the tags of some flags.
_NEEDED = frozenset({"\u200c", "\u200d", *(chr(code) for code in range(0xE0020, 0xE0080))})
_SEPARATORS = frozenset("/\\")
# What file systems and shells of some kind do not want in a name.
_UNWANTED = str.maketrans(dict.fromkeys('/\\:*?"<>|;', "_"))
_FILE_NAME_BYTES = 180
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)


def title(text: str, field: str) -> str:
    """A title as it is kept: NFC, trimmed. Raises TitleNotAllowed, naming `field`."""
    kept = unicodedata.normalize("NFC", text).strip()
    problem = _problem(kept)
    if problem:
        raise TitleNotAllowed(problem=problem, violations=[(field, problem)])
    return kept


def _problem(text: str) -> str:
    if not text.strip(". "):
        return "there is nothing in it to read"
    for character in text:
        category = unicodedata.category(character)
        if category in _CONTROL:
            return "it has control characters"
        if category == "Cf" and character not in _NEEDED:
            # Bidirectional overrides make `gpj.exe` of `exe.jpg` (UAX #9, CVE-2021-42574).
            return "it has invisible characters or marks that turn the reading direction"
        if character in _SEPARATORS:
            return "it has a slash or backslash; leave folders out"
    return ""


def file_name(text: str, ending: str) -> str:
    """What a downloaded file is called: the title without what file systems mind, and the true ending."""
    stem = text.translate(_UNWANTED).strip(". ")
    if stem.lower().endswith(f".{ending}"):
        stem = stem[: -len(ending) - 1]
    short = stem.encode()[:_FILE_NAME_BYTES].decode(errors="ignore").rstrip(". ")
    if not short or short.lower() in _RESERVED:
        short = f"crafiq-{short}" if short else "crafiq"
    return f"{short}.{ending}"


def disposition(name: str) -> str:
    """The Content-Disposition (RFC 6266) under which a browser saves a file and does not open it."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def output_title(index: int, ending: str) -> str:
    """What an Output is called until its owner calls it something."""
    return f"output-{index + 1}.{ending}"
