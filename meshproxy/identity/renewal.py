"""When to renew a certificate. Pure: times are seconds since 1970, and chance comes in as a number."""

from __future__ import annotations

SHARE = 0.5
"""Of its life, after which a certificate is renewed: as long again remains for a CA to come back."""
JITTER = 0.2
"""By which that share varies: proxies that started together renew within a fifth of the lifetime, not at once."""


def renew_at(begins: float, ends: float, chance: float) -> float:
    """`chance` is from [0, 1), as `random.random` gives it."""
    return begins + (ends - begins) * (SHARE + JITTER * (chance - 0.5))
