"""Turning words and Input into Output through vendors."""
