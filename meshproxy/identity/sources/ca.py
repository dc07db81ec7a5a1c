"""An identity from our own CA (``meshproxy ca serve``).

The key is made here and never leaves. Until there is a certificate, a bootstrap token speaks for this proxy; after
that its certificate does. It is renewed at half of its life, give or take, and kept in the state directory, so that
a restart needs neither a token nor a CA. While the CA is away what is valid stays in use, and it is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from meshproxy.aio.sealed_file import SealedFile
from meshproxy.base.backoff import Backoff
from meshproxy.identity.ca.certificates import key_pem, new_key
from meshproxy.identity.ca.requests import make_request
from meshproxy.identity.renewal import renew_at
from meshproxy.identity.sources.api import Emit, Trouble
from meshproxy.identity.sources.ca_client import CAClient
from meshproxy.identity.sources.files import read_file
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.identity.svid import IdentityError, Wanted, make_identity, read_key
from meshproxy.snapshot.identity import FromCA, Identity

RETRY = (1.0, 120.0)
"""Seconds: the first wait after a failure, and the longest."""
RETRY_WITHOUT = 30.0
"""The longest while there is no certificate that is valid, and so nothing goes through the mesh."""
ROOTS_INTERVAL = 300.0
"""Seconds between looks at the roots, so that one that was removed is distrusted long before a renewal."""
FILE_NAME = "identity"
_MAGIC = b"meshproxy identity 1\n"
"""The content is `Saved` in MessagePack."""

_log = logging.getLogger(__name__)

MakeClient = Callable[[str, str, Identity | None, str], CAClient]
"""`CAClient`, or what a test that has no time for TLS has instead."""


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """`pending_key` is one that has no certificate yet: a token belongs to the first key that it came with.

    `obtained_at` is in seconds since 1970: certificates begin before that. `spent_token` is the hash of the one that
    has served: showing it with another key would be what a thief does.
    """

    identity: Identity | None = None
    obtained_at: float = 0.0
    pending_key: str
    spent_token: str = ""


class CAIdentitySource:
    """Implements `sources.api.IdentitySource`. Without `state_dir` the identity does not outlive the process."""

    def __init__(
        self,
        ca: FromCA,
        wanted: Wanted,
        surroundings: Surroundings,
        state_dir: Path | None,
        make_client: MakeClient = CAClient,
    ) -> None:
        self._ca = ca
        self._make_client = make_client
        self._wanted = wanted
        self._surroundings = surroundings
        self._file = SealedFile(state_dir / FILE_NAME, _MAGIC, "the identity") if state_dir is not None else None
        self._backoff = Backoff(*RETRY, surroundings.random)
        self._hurry = asyncio.Event()
        self._saved = Saved(pending_key=key_pem(new_key()).decode())
        self._renewal = 0.0

    @property
    def name(self) -> str:
        return "ca"

    def refresh(self) -> None:
        """Renew now."""
        self._hurry.set()

    def at_hand(self) -> None:
        """Nothing: somebody must be asked."""

    async def run(self, emit: Emit) -> None:
        self._start(emit)
        while True:
            try:
                emit(await self._next())
            except IdentityError as error:
                emit(Trouble(str(error)))
                delay = self._backoff.next_delay()
                if not self._has_valid():
                    delay = min(delay, RETRY_WITHOUT)
            else:
                self._backoff.reset()
                to_roots = ROOTS_INTERVAL * (0.5 + self._surroundings.random())
                delay = max(0.0, min(to_roots, self._renewal - self._surroundings.wall_clock()))
            await self._surroundings.wait(self._hurry, delay)

    def _has_valid(self) -> bool:
        identity = self._saved.identity
        return identity is not None and identity.not_after > self._surroundings.wall_clock()

    async def _next(self) -> Identity:
        """Renew where it is time, else look whether the roots have changed; raises `IdentityError`."""
        identity = self._saved.identity
        if identity is None or self._hurry.is_set() or self._surroundings.wall_clock() >= self._renewal:
            self._hurry.clear()
            return await self._renew()
        roots = await self._client(identity).roots()
        if roots == identity.trust_bundle:
            return identity
        try:
            return self._accept(identity.certificate_chain, identity.private_key, roots, self._saved.obtained_at)
        except IdentityError:  # the root that our certificate is under was dropped
            return await self._renew()

    # -- asking --------------------------------------------------------------------------

    async def _renew(self) -> Identity:
        key = self._saved.pending_key
        request = make_request(read_key(key.encode()))
        problems = []
        for client in self._clients():
            try:
                answer = await client.certificate(request, self._ca.lifetime)
            except IdentityError as error:
                problems.append(str(error))
                continue
            identity = self._accept(answer.certificate_chain, key, answer.roots, self._surroundings.wall_clock())
            if client.token:
                self._save(msgspec.structs.replace(self._saved, spent_token=_hash(client.token)))
            return identity
        raise IdentityError("; ".join(dict.fromkeys(problems)))

    def _clients(self) -> list[CAClient]:
        """What may speak for us: a certificate that is valid, then a token. At least one."""
        identity, clients = self._saved.identity, []
        if identity is not None and self._has_valid():
            clients.append(self._client(identity))
        token, problem = self._token()
        if token:
            clients.append(self._client(None, token))
        if not clients:
            account = f"{self._wanted.namespace}/{self._wanted.service_account}"
            raise IdentityError(f"no certificate is valid, and {problem}; make a token: meshproxy ca token {account}")
        return clients

    def _token(self) -> tuple[str, str]:
        """The token that may be shown, or why there is none."""
        file = self._ca.token_file
        if not file:
            return "", "there is no tokenFile"
        if not Path(file).exists():
            return "", f"the token file {file} is not there"
        token = read_file(Path(file)).decode(errors="replace").strip()
        if _hash(token) == self._saved.spent_token:
            return "", f"the token in {file} has been used"
        return token, ""

    def _client(self, identity: Identity | None, token: str = "") -> CAClient:
        roots = read_file(Path(self._ca.roots)).decode(errors="replace")
        if self._saved.identity is not None:
            roots += self._saved.identity.trust_bundle
        return self._make_client(self._ca.url, roots, identity, token)

    def _accept(self, chain: str, key: str, roots: str, obtained_at: float) -> Identity:
        """Use what the CA has answered, once it has passed the same rules as any identity."""
        now = self._surroundings.wall_clock()
        identity = make_identity(chain.encode(), key.encode(), roots.encode(), now, self._wanted)
        was = self._saved
        pending = key_pem(new_key()).decode() if key == was.pending_key else was.pending_key
        self._save(msgspec.structs.replace(was, identity=identity, obtained_at=obtained_at, pending_key=pending))
        if identity.serial != (was.identity.serial if was.identity is not None else None):
            self._schedule()
        return identity

    # -- what outlives a restart ---------------------------------------------------------

    def _start(self, emit: Emit) -> None:
        if self._file is None:
            _log.warning("without --state-dir the identity does not outlive a restart, which will need another token")
            return
        saved = self._load(self._file)
        if saved is None:
            self._save(self._saved)  # the key goes first: what it is given must not be lost
            return
        self._saved = saved
        if saved.identity is not None:
            emit(saved.identity)
            self._schedule()

    def _load(self, file: SealedFile) -> Saved | None:
        content = file.read()
        if content is None:
            return None
        try:
            saved = msgspec.msgpack.decode(content, type=Saved)
        except msgspec.DecodeError as error:
            _log.warning("%s cannot be used: %s", file.path, error)
            return None
        identity = saved.identity
        if identity is None:
            return saved
        try:
            texts = (identity.certificate_chain.encode(), identity.private_key.encode(), identity.trust_bundle.encode())
            usable = make_identity(*texts, self._surroundings.wall_clock(), self._wanted)
        except IdentityError as error:
            _log.warning("the identity in %s is not used: %s", file.path, error)
            usable = None
        return msgspec.structs.replace(saved, identity=usable)

    def _save(self, saved: Saved) -> None:
        self._saved = saved
        if self._file is not None:
            self._file.write(msgspec.msgpack.encode(saved))

    def _schedule(self) -> None:
        identity = self._saved.identity
        if identity is not None:
            begins = max(identity.not_before, self._saved.obtained_at)
            self._renewal = renew_at(begins, identity.not_after, self._surroundings.random())


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
