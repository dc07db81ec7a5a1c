"""This proxy's identity: where it comes from, and what a data plane is given."""

from __future__ import annotations

from meshproxy.snapshot.value import Value


class FromFiles(Value, frozen=True, kw_only=True, tag="files"):
    """Paths of PEM files: a chain with the leaf first, its key, roots, and perhaps what they revoked."""

    certificate: str
    key: str
    roots: str
    crl: str = ""


class FromCA(Value, frozen=True, kw_only=True, tag="ca"):
    """Our own CA. `roots` is a PEM file that vouches for the server; `token_file` holds a bootstrap token.

    `lifetime` in seconds is what is asked for; None leaves it to the CA.
    """

    url: str
    roots: str
    token_file: str = ""
    lifetime: float | None = None


class FromConsul(Value, frozen=True, kw_only=True, tag="consul"):
    """Consul's Connect CA, asked through an agent at ``http://HOST:PORT`` or ``unix:///PATH``."""

    address: str
    token_file: str = ""


class IdentitySettings(Value, frozen=True, kw_only=True):
    """Whose identity this proxy has. What is empty is taken as the certificate has it."""

    trust_domain: str
    namespace: str
    service_account: str
    source: FromFiles | FromCA | FromConsul


class Identity(Value, frozen=True, kw_only=True):
    """An X.509-SVID with its key and whom it trusts. Times are seconds since 1970.

    `certificate_chain` is PEM, the leaf first, without the root; `trust_bundle` holds the PEMs of every root
    that peers of `trust_domain` may chain to, and `crl` the PEMs of their revocation lists; `serial` is hexadecimal,
    since it has up to 160 bits. It crosses a process boundary, and changes without a snapshot.
    """

    spiffe_id: str
    trust_domain: str
    certificate_chain: str
    private_key: str
    trust_bundle: str
    not_before: float
    not_after: float
    serial: str
    issuer: str
    crl: str = ""

    def __repr__(self) -> str:
        """Without the key, which has no business in logs."""
        return f"Identity({self.spiffe_id!r}, serial={self.serial}, not_after={self.not_after})"
