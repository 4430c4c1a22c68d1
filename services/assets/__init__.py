"""Every byte that people bring or make."""
