"""This proxy's identity, as a data plane uses it. It crosses a process boundary, and changes without a snapshot."""

from __future__ import annotations

from meshproxy.snapshot.value import Value


class Identity(Value, frozen=True, kw_only=True):
    """An X.509-SVID with its key and whom it trusts. Times are seconds since 1970.

    `certificate_chain` is PEM, the leaf first, without the root; `trust_bundle` holds the PEMs of every root
    that peers of `trust_domain` may chain to.
    """

    spiffe_id: str
    trust_domain: str
    certificate_chain: str
    private_key: str
    trust_bundle: str
    not_before: float
    not_after: float
    serial: int
    issuer: str

    def __repr__(self) -> str:
        """Without the key, which has no business in logs."""
        return f"Identity({self.spiffe_id!r}, serial={self.serial:x}, not_after={self.not_after})"
