"""The outside of assets: object storage, and the threads in which files are looked at."""
