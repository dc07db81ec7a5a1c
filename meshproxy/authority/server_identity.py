"""The certificate that the CA's server issues to itself, and renews, and the roots that its clients may come from."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable

from meshproxy.identity.ca.audit import AuditEntry
from meshproxy.identity.ca.certificates import DAY, key_pem, new_key
from meshproxy.identity.ca.issuing import Issuer
from meshproxy.identity.ca.store import CAError
from meshproxy.identity.contexts import load_certificate

LIFETIME = DAY

_log = logging.getLogger(__name__)


class ServerIdentity:
    """`context` is what to listen with; it hands each handshake to the newest. Its key is in memory only."""

    def __init__(self, issuer: Issuer, hosts: tuple[str, ...], wall_clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._hosts = hosts
        self._wall_clock = wall_clock
        self._bundle = ""
        self._renew_at = 0.0
        self._current = self._make()
        self.context = _new_context()
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in every handshake, whether the client names a server or not."""
        try:
            if self._wall_clock() >= self._renew_at or self._issuer.current().bundle != self._bundle:
                self._current = self._make()
        except (CAError, OSError) as error:
            _log.error("the CA cannot renew its own certificate: %s", error)
        connection.context = self._current

    def _make(self) -> ssl.SSLContext:
        now = self._wall_clock()
        key = new_key()
        why = AuditEntry(event="issued", how="server")
        issued = self._issuer.for_hosts(self._hosts, key.public_key(), LIFETIME, why)
        context = _new_context()
        context.load_verify_locations(cadata=issued.roots)
        load_certificate(context, issued.chain, key_pem(key).decode())
        self._bundle = issued.roots
        self._renew_at = now + LIFETIME / 2
        return context


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a resumed session's certificate would not be verified again
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
