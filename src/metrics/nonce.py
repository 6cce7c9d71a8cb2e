"""Numbers that make ids of entries unique, also after a failover has lost some of them."""

import secrets

NONCE_BITS = 48


def new_nonce() -> int:
    """Return a number that nobody gets again."""
    return secrets.randbits(NONCE_BITS)
