"""Promises are code: what a column holds, why, for how long, and what becomes of it."""
