"""The `crafiq` command: the platform on this machine, and the main job on it."""
