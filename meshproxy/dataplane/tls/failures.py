"""Why a handshake or a connection failed: a word for metrics, and a phrase for people."""

from __future__ import annotations

import errno
import ssl

from meshproxy.identity.verification import refusal_of_verify_code

NOT_TLS = "not_tls"
MALFORMED_HELLO = "malformed_hello"
UNKNOWN_NAME = "unknown_server_name"
NO_MATERIAL = "no_material"
"""The proxy's own: it has no (usable) certificate."""
TIMEOUT = "timeout"
ABANDONED = "abandoned"
"""Nobody waited any longer for an endpoint: it took too long, or the client left."""
CLOSED = "closed"
"""The peer hung up."""
OVERLOAD = "overload"
"""As many handshakes wait for their turn as may."""
ALERT = "peer_alert"
"""The peer refused, and its alert does not say whose fault it was."""
NO_COMMON = "nothing_in_common"
"""No version, cipher suite or group that both sides know."""
PROTOCOL = "protocol"
NO_CERTIFICATE = "no_certificate"
WRONG_NAME = "wrong_name"
HOST_NAME_MISMATCH = 62
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH."""

PEER = "peer_"
"""What the reasons begin with that a peer gives."""

_BY_REASON = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CERTIFICATE,
    "NO_SHARED_CIPHER": NO_COMMON,
    "UNSUPPORTED_PROTOCOL": NO_COMMON,
    "VERSION_TOO_LOW": NO_COMMON,
    "NO_SUITABLE_KEY_SHARE": NO_COMMON,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": NO_COMMON,
    "NO_SHARED_SIGNATURE_ALGORITHMS": NO_COMMON,
    "INAPPROPRIATE_FALLBACK": NO_COMMON,
    "TLSV1_ALERT_PROTOCOL_VERSION": NO_COMMON,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": NO_COMMON,
    "WRONG_VERSION_NUMBER": NOT_TLS,
    "HTTP_REQUEST": NOT_TLS,
    # What a peer thinks of our certificate (RFC 8446 §6.2).
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "peer_wants_certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "peer_refuses_ca",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "peer_refuses_certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "peer_refuses_certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "peer_refuses_certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "peer_refuses_certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "peer_refuses_certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "peer_refuses_certificate",
    "TLSV1_UNRECOGNIZED_NAME": "peer_knows_no_such_name",
}


def reason_of(error: OSError) -> str:
    """One word for what went wrong, of a bounded number of words: a metric's label."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return WRONG_NAME if error.verify_code == HOST_NAME_MISMATCH else refusal_of_verify_code(error.verify_code)
    if not isinstance(error, ssl.SSLError):
        return OVERLOAD if error.errno == errno.EBUSY else CLOSED
    reason = error.reason or ""
    return _BY_REASON.get(reason, ALERT if "_ALERT_" in reason else PROTOCOL)


def words(error: OSError) -> str:
    """What went wrong, for people: OpenSSL's own words without its punctuation."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return (error.strerror or "broken").lower()
