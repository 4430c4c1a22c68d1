"""Looking for values wherever they may have stayed: spelled in every common way, in files and in rows."""

from cli.search.needles import Hit, Needles, Sought
from cli.search.spellings import spellings

__all__ = ["Hit", "Needles", "Sought", "spellings"]
