"""Chaos: real processes are broken in every way while clients keep a ledger of what they send."""
