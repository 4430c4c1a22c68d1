"""The outside of assets: object storage, threads in which files are looked at, processes that draw them."""
