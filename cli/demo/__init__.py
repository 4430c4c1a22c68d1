"""The main job on a real file, told step by step: what `make demo` runs."""
