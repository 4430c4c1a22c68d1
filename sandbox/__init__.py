"""Stand-ins for the outside world that speak its real wire formats.

Each is a process of its own (`python -m sandbox.openai`, `.stripe`, `.smtp`). Product code
does not know them: only base URLs and keys differ from the real thing.
"""
