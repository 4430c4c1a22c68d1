"""Thumbnails and posters, drawn in a process of its own that reads one file and ends (`__main__`).

Decoders see bytes that may be made to break them. So this package imports nothing of the service: the
process has no settings, no secrets and no connections, and `jail` takes from it what it could do harm with.
"""

NOTHING = 3
"""How the process ends if a file is no picture of anything: trying again would not help."""
