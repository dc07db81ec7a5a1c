"""Every certificate that must be refused, with its reason, at our own rules and in real handshakes."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshproxy.base.spiffe import SpiffeId
from meshproxy.identity.verification import (
    PeerRules,
    Refusal,
    Refused,
    check_peer,
    refusal_of_verify_code,
)
from tests.support.certificates import Issued, TestCA, context_of, self_signed, service_account

WEB = service_account("web")
CA = TestCA(intermediate=True)
CLIENT, SERVER = PeerRules("mesh.local", peer_is_server=False), PeerRules("mesh.local", peer_is_server=True)


def now() -> float:
    return datetime.now(UTC).timestamp()


def test_a_good_certificate_gives_its_id() -> None:
    good = CA.issue(WEB)
    for rules in (CLIENT, SERVER, CLIENT._replace(identities={WEB, "spiffe://mesh.local/other"})):
        assert check_peer(good.der, rules, now()) == SpiffeId.parse(WEB)


BAD = {
    Refusal.EXPIRED: CA.issue(WEB, starts_in=-7200, lasts=-3600),
    Refusal.NOT_YET_VALID: CA.issue(WEB, starts_in=1800),
    Refusal.NO_SPIFFE_ID: CA.issue(dns=["web.example"]),
    Refusal.SEVERAL_URIS: CA.issue(WEB, "spiffe://mesh.local/other"),
    Refusal.IS_A_CA: CA.issue(WEB, is_ca=True),
    Refusal.KEY_USAGE: CA.issue(WEB, signs=False),
    Refusal.EXTENDED_KEY_USAGE: CA.issue(WEB, usages=None),
    Refusal.WRONG_TRUST_DOMAIN: CA.issue(service_account("web", trust_domain="other.example")),
}


@pytest.mark.parametrize(("reason", "issued"), BAD.items(), ids=BAD)
def test_a_bad_certificate_is_refused(reason: Refusal, issued: Issued) -> None:
    refused = check_peer(issued.der, CLIENT, now())
    assert isinstance(refused, Refused)
    assert refused.reason is reason
    assert refused.message


@pytest.mark.parametrize("uri", ["https://example.com/", "spiffe://mesh.local", "spiffe://mesh.local/a/../b"])
def test_a_uri_that_names_nobody_is_refused(uri: str) -> None:
    refused = check_peer(CA.issue(uri).der, CLIENT, now())
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.NO_SPIFFE_ID


def test_each_side_needs_its_own_usage() -> None:
    server_only = CA.issue(WEB, usages=[ExtendedKeyUsageOID.SERVER_AUTH]).der
    assert check_peer(server_only, SERVER, now()) == SpiffeId.parse(WEB)
    refused = check_peer(server_only, CLIENT, now())
    assert isinstance(refused, Refused)
    assert "clientAuth" in refused.message


def test_another_identity_is_refused_by_name() -> None:
    refused = check_peer(CA.issue(WEB).der, SERVER._replace(identities={service_account("cart")}), now())
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.WRONG_IDENTITY
    assert "/sa/web" in refused.message
    assert "/sa/cart" in refused.message


@pytest.mark.parametrize("nothing", [None, b""])
def test_no_certificate(nothing: bytes | None) -> None:
    refused = check_peer(nothing, CLIENT, now())
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.NO_CERTIFICATE


def test_garbage() -> None:
    refused = check_peer(b"\x30\x03abc", CLIENT, now())
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.MALFORMED


# -- what OpenSSL refuses ----------------------------------------------------------------


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A handshake in memory; raises what the server or the client raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_side=False, server_hostname="web")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    open_ends = [ours, theirs]
    for _ in range(10):
        for end in tuple(open_ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.remove(end)
    assert not open_ends


OTHER = TestCA("another root")
HANDSHAKES = {
    "expired": (Refusal.EXPIRED, BAD[Refusal.EXPIRED]),
    "not yet valid": (Refusal.NOT_YET_VALID, BAD[Refusal.NOT_YET_VALID]),
    "another root": (Refusal.UNKNOWN_CA, OTHER.issue(WEB)),
    "self-signed": (Refusal.SELF_SIGNED, self_signed(WEB)),
    "server only": (Refusal.EXTENDED_KEY_USAGE, CA.issue(WEB, usages=[ExtendedKeyUsageOID.SERVER_AUTH])),
    "without its intermediate": (Refusal.UNKNOWN_CA, CA.issue(WEB)._replace(chain=())),
    "under a leaf": (Refusal.BAD_CHAIN, OTHER.issue_under(CA.issue(WEB), WEB)),
}


@pytest.mark.parametrize(("reason", "presented"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_what_openssl_refuses_has_a_name(reason: Refusal, presented: Issued, tmp_path: Path) -> None:
    client = context_of(presented, CA.bundle, ssl.Purpose.SERVER_AUTH, tmp_path)
    server = context_of(CA.issue(WEB), CA.bundle, ssl.Purpose.CLIENT_AUTH, tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        _handshake(client, server)
    assert refusal_of_verify_code(refused.value.verify_code) is reason, refused.value.verify_message


def test_a_handshake_with_good_ones_succeeds(tmp_path: Path) -> None:
    client = context_of(CA.issue(WEB), CA.bundle, ssl.Purpose.SERVER_AUTH, tmp_path)
    server = context_of(CA.issue(WEB), CA.bundle, ssl.Purpose.CLIENT_AUTH, tmp_path)
    _handshake(client, server)
