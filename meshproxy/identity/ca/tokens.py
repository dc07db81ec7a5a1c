"""Bootstrap tokens: for one service account, to be used once, not after a certain time, stored as a hash.

A token is ``<id>.<secret>``; the secret has 256 bits, so that a plain SHA-256 hides it. Each has a file of its own.
It belongs to the first key that comes with it: the owner of that key may repeat a request whose answer
was lost, and for anyone else it is spent. Then one of the two is a thief, which is said loudly.
"""

from __future__ import annotations

import os
import re
import secrets
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import NamedTuple

import msgspec

from meshproxy.base.errors import MeshproxyError
from meshproxy.base.names import NamespacedName

DIRECTORY = "tokens"
"""The name of the directory of tokens in that of a CA."""
KEEP_EXPIRED = 7 * 86400.0
"""Seconds that an expired token is remembered, so that its use is known for what it is."""

_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


class TokenRefused(MeshproxyError):
    """The token is not good. `alarming` where two keys came with one token."""

    def __init__(self, message: str, token_id: str = "", *, alarming: bool = False) -> None:
        super().__init__(message)
        self.token_id = token_id
        self.alarming = alarming


class StoredToken(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a token, which is not the token."""

    id: str
    hash: str
    namespace: str
    service_account: str
    created_at: float
    expires_at: float

    @property
    def account(self) -> NamespacedName:
        return NamespacedName(self.namespace, self.service_account)


class TokenState(NamedTuple):
    token: StoredToken
    used: bool


class Tokens:
    """The tokens in `directory`. Several processes may use it at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self, account: NamespacedName, now: float, lifetime: float) -> str:
        """A new token, which is told this once. Forgets those that expired long ago."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._forget(now)
        token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        stored = StoredToken(
            id=token_id,
            hash=_hash(secret),
            namespace=account.namespace,
            service_account=account.name,
            created_at=now,
            expires_at=now + lifetime,
        )
        self._write_new(f"{token_id}.json", msgspec.json.encode(stored))
        return f"{token_id}.{secret}"

    def spend(self, text: str, key: str, now: float) -> StoredToken:
        """Whose token `text` is, which from now on is that of `key` (a fingerprint) only. Raises `TokenRefused`."""
        token = self._find(text)
        if now > token.expires_at:
            raise TokenRefused(f"the token of {token.account} expired {now - token.expires_at:.0f} s ago", token.id)
        name = f"{token.id}.used"
        try:
            self._write_new(name, key.encode())
        except FileExistsError:
            if not compare_digest((self._directory / name).read_bytes(), key.encode()):
                message = f"the token of {token.account} was used before, with another key"
                raise TokenRefused(message, token.id, alarming=True) from None
        return token

    def states(self) -> list[TokenState]:
        """Every token that is remembered, the oldest first."""
        found = []
        for path in self._directory.glob("*.json"):
            token = _read(path)
            if token is not None:
                found.append(TokenState(token, path.with_suffix(".used").exists()))
        return sorted(found, key=lambda state: state.token.created_at)

    def _find(self, text: str) -> StoredToken:
        token_id, _, secret = text.partition(".")
        token = _read(self._directory / f"{token_id}.json") if _ID.fullmatch(token_id) else None
        if token is None or not compare_digest(token.hash, _hash(secret)):
            raise TokenRefused("there is no such token", token_id if token is not None else "")
        return token

    def _forget(self, now: float) -> None:
        for token, _ in self.states():
            if now > token.expires_at + KEEP_EXPIRED:
                (self._directory / f"{token.id}.json").unlink(missing_ok=True)
                (self._directory / f"{token.id}.used").unlink(missing_ok=True)

    def _write_new(self, name: str, content: bytes) -> None:
        """Make a file, whole or not at all; raises `FileExistsError` where it is there."""
        temporary = self._directory / f".{name}.{secrets.token_hex(4)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.link(temporary, self._directory / name)
        finally:
            temporary.unlink()


def _read(path: Path) -> StoredToken | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredToken)
    except (OSError, msgspec.DecodeError):
        return None


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="surrogateescape")).hexdigest()
