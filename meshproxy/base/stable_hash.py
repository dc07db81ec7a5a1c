"""A hash that is the same on every machine, in every process and release.

Python's own `hash` is salted per process; virtual IPs, rings and affinity must agree
between sidecars that never talk to each other.
"""

from __future__ import annotations

from hashlib import blake2b


def stable_hash(text: str | bytes, seed: int = 0) -> int:
    """A 64-bit hash of `text` (BLAKE2b, RFC 7693; `seed`, 0 to 2**64-1, selects an independent function)."""
    data = text.encode() if isinstance(text, str) else text
    salt = seed.to_bytes(8, "little") if seed else b""
    return int.from_bytes(blake2b(data, digest_size=8, salt=salt).digest(), "little")


def content_version(encoded: bytes) -> str:
    """A short version string, 12 hexadecimal digits, for one exact content."""
    return blake2b(encoded, digest_size=6).hexdigest()
