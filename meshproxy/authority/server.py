"""Issues certificates to sidecars over HTTPS.

``POST /v1/certificates`` takes ``{"request": <PKCS #10 in PEM>, "lifetime": <seconds>}`` from whom shows a bootstrap
token (``Authorization: Bearer``) or, in the TLS handshake, a certificate that is still valid. Whose certificate it
becomes is what those say, and nothing that the request says. ``GET /v1/roots`` tells everyone whom to trust.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.authority.limits import RateLimits
from meshproxy.authority.server_identity import ServerIdentity
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.audit import AuditEntry, AuditLog
from meshproxy.identity.ca.certificates import BACKDATE, DAY
from meshproxy.identity.ca.issuing import DEFAULT_LIFETIME, MIN_LIFETIME, Issuer
from meshproxy.identity.ca.requests import BadRequest, fingerprint, read_request
from meshproxy.identity.ca.store import CAError
from meshproxy.identity.ca.tokens import TokenRefused, Tokens
from meshproxy.identity.expiry import CertificateState
from meshproxy.identity.verification import PeerRules, Refused, check_peer
from meshproxy.protocols import x509

MAX_LIFETIME = 7 * DAY
MAX_BODY = 16 * 1024
HANDSHAKE_TIMEOUT = 10.0
MAX_AGE, SWEEP = 45.0, 15.0
"""Seconds that a connection lasts, a client needing one for a request or two; and between looks at that."""
ACCOUNT_LIMIT = (6, 20)
"""Certificates of one service account, in a minute and at once: for restarts and replicas, and no more."""
FAILURE_LIMIT = (10, 20)
"""Requests of one address that are refused, in a minute and at once."""

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """What the server is before. `wall_clock` tells seconds since 1970."""

    issuer: Issuer
    tokens: Tokens
    audit: AuditLog
    wall_clock: Callable[[], float]
    default_lifetime: float = DEFAULT_LIFETIME
    max_lifetime: float = MAX_LIFETIME


class _Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    request: str
    lifetime: float | None = None


class _Denied(Exception):
    """An answer other than a certificate."""

    def __init__(self, status: int, message: str, *, event: str = "refused", token: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.event = event
        self.token = token


class CAServer:
    """Serves at `address`, port 0 for a free one, under the names `hosts`."""

    def __init__(self, authority: Authority, address: SocketAddress, hosts: tuple[str, ...]) -> None:
        self._authority = authority
        self._address = address
        self._identity = ServerIdentity(authority.issuer, hosts, authority.wall_clock)
        self._accounts = RateLimits(*ACCOUNT_LIMIT)
        self._failures = RateLimits(*FAILURE_LIMIT)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._tasks = OwnedTasks()

    @property
    def address(self) -> SocketAddress:
        """Where it is served; the port is the real one once it has started."""
        return self._address

    async def start(self) -> None:
        """Raises `OSError` when the address cannot be bound."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._explain])
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/v1/roots", self._roots),
                web.post("/v1/certificates", self._certificates),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # since it is set up
        try:
            self._server = await asyncio.get_running_loop().create_server(
                server,
                self._address.host,
                self._address.port,
                ssl=self._identity.context,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            )
        except OSError:
            await self.stop()
            raise
        self._address = SocketAddress(self._address.host, self._server.sockets[0].getsockname()[1])
        self._tasks.start(self._close_old(server), name="old connections")
        self._tasks.start(self._watch_expiry(), name="expiry of the CA's certificates")

    async def stop(self) -> None:
        await self._tasks.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _close_old(self, server: web.Server) -> None:
        """A connection has some time for what it wants, so that nobody gathers them by being slow."""
        clock = asyncio.get_running_loop().time
        seen: dict[web.RequestHandler, float] = {}
        while True:
            now = clock()
            seen = {connection: seen.get(connection, now) for connection in server.connections}
            for connection, since in seen.items():
                if now - since >= MAX_AGE:
                    connection.force_close()
            await asyncio.sleep(SWEEP)

    async def _watch_expiry(self) -> None:
        """Say, once a day, which of the CA's own certificates expires soon."""
        while True:
            self.warn_of_expiry()
            await asyncio.sleep(DAY)

    def warn_of_expiry(self) -> None:
        now = self._authority.wall_clock()
        try:
            expiries = self._authority.issuer.expiries(now)
        except CAError as error:
            _log.error("%s", error)
            return
        for name, ends, state in expiries:
            if state is not CertificateState.VALID:
                days = (ends - now) / DAY
                _log.warning("%s of the CA: %s, %.1f days left; renew it: meshproxy ca rotate", name, state, days)

    # -- answers -------------------------------------------------------------------------

    async def _healthz(self, request: web.Request) -> web.Response:
        self._authority.issuer.current()
        return web.Response(text="ok\n")

    async def _roots(self, request: web.Request) -> web.Response:
        ca = self._authority.issuer.current()
        return _json({"trustDomain": ca.trust_domain, "roots": ca.bundle})

    async def _certificates(self, request: web.Request) -> web.Response:
        remote = request.remote or ""
        try:
            ask = _read(await request.read())
            key = read_request(ask.request)
            account, why = self._authenticate(request, fingerprint(key))
        except BadRequest as error:
            return self._deny(_Denied(400, str(error)), remote)
        except _Denied as denied:
            return self._deny(denied, remote)
        wait = self._accounts.take(str(account), self._authority.wall_clock())
        if wait:
            return self._deny(_Denied(429, f"{account} has asked for too many certificates"), remote, wait)
        issued = self._authority.issuer.for_account(account, key, self._lifetime(ask), why)
        answer = {"certificateChain": issued.chain, "roots": issued.roots, "notAfter": issued.not_after}
        return _json(answer, status=201)

    def _lifetime(self, ask: _Ask) -> float:
        wanted = self._authority.default_lifetime if ask.lifetime is None else ask.lifetime
        return max(MIN_LIFETIME, min(wanted, self._authority.max_lifetime))

    def _authenticate(self, request: web.Request, key: str) -> tuple[NamespacedName, AuditEntry]:
        """Whose certificate it becomes, and how that is known; raises `_Denied`."""
        remote = request.remote or ""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                stored = self._authority.tokens.spend(token.strip(), key, self._authority.wall_clock())
            except TokenRefused as refused:
                event = "token_reused" if refused.alarming else "refused"
                raise _Denied(401, str(refused), event=event, token=refused.token_id) from None
            self._check_revoked(stored.account, stored.created_at, "the token")
            return stored.account, AuditEntry(event="issued", how="token", token=stored.id, remote=remote)
        return self._account_of_peer(request), AuditEntry(event="issued", how="certificate", remote=remote)

    def _account_of_peer(self, request: web.Request) -> NamespacedName:
        tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if certificate is None:
            raise _Denied(401, "show a bootstrap token (Authorization: Bearer …), or a valid certificate")
        trust_domain = self._authority.issuer.current().trust_domain
        found = check_peer(certificate, PeerRules(trust_domain, peer_is_server=False), self._authority.wall_clock())
        if isinstance(found, Refused):
            raise _Denied(401, found.message)
        if found.service_account is None:
            raise _Denied(403, f"{found} is no service account")
        made_at = x509.parse(certificate).not_before + BACKDATE
        self._check_revoked(found.service_account, made_at, "the certificate")
        return found.service_account

    def _check_revoked(self, account: NamespacedName, made_at: float, what: str) -> None:
        """Raises `_Denied` for what was made before its account was revoked."""
        revoked_at = self._authority.issuer.current().revoked.get(str(account))
        if revoked_at is not None and made_at <= revoked_at:
            message = f"{account} was revoked after {what} was made; make another token: meshproxy ca token {account}"
            raise _Denied(403, message)

    # -- refusals ------------------------------------------------------------------------

    def _deny(self, denied: _Denied, remote: str, wait: float = 0.0) -> web.Response:
        """Say no, note it, and say less to who is told no all the time."""
        now = self._authority.wall_clock()
        too_many = self._failures.take(remote, now)
        if too_many and denied.event == "refused":
            return _error(429, "too many requests were refused", too_many)
        if denied.event == "token_reused":
            alarm = (
                "ALARM from %s: %s. One of the two is a thief: revoke and deny that service account, and look into it"
            )
            _log.error(alarm, remote, denied)
        else:
            _log.warning("refused %s: %s", remote, denied)
        self._authority.audit.write(
            AuditEntry(event=denied.event, how="request", remote=remote, reason=str(denied), token=denied.token)
        )
        return _error(denied.status, str(denied), wait)

    @web.middleware
    async def _explain(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _error(error.status, f"{error.reason}: {request.method} {request.path}")
        except ConnectionError:  # the client went away, and hears nothing more
            return _error(400, "the connection was lost")
        except (CAError, OSError) as error:
            _log.error("nothing can be issued: %s", error)
            return _error(503, "the CA cannot issue now; its log says why")


def _read(body: bytes) -> _Ask:
    try:
        return msgspec.json.decode(body, type=_Ask)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body must be JSON: {error}") from None


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _error(status: int, message: str, wait: float = 0.0) -> web.Response:
    answer = _json({"error": message}, status)
    if wait:
        answer.headers["Retry-After"] = str(int(wait) + 1)
    return answer
