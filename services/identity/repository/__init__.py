"""Every query of identity, by noun."""
