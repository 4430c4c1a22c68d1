"""The outside: generation, asked what became of its jobs; Stripe."""
