"""A CA of ours in a directory, with its server, for tests: on a fake clock, so that years pass at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from meshproxy.authority.server import Authority, CAServer
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.audit import FILE_NAME, AuditEntry, AuditLog
from meshproxy.identity.ca.issuing import Issuer
from meshproxy.identity.ca.store import CAStore
from meshproxy.identity.ca.tokens import DIRECTORY, Tokens
from tests.support.clock import FakeWallClock

LOOPBACK = SocketAddress("127.0.0.1", 0)


class MadeCA:
    """A CA that has been initialized, by `clock`."""

    def __init__(self, directory: Path, clock: FakeWallClock) -> None:
        self.directory = directory
        self.clock = clock
        self.store = CAStore(directory)
        self.store.init("mesh.local", clock())
        self.audit = AuditLog(directory / FILE_NAME, clock)
        self.tokens = Tokens(directory / DIRECTORY)
        self.issuer = Issuer(self.store, self.audit, clock)

    @property
    def roots(self) -> Path:
        return self.directory / "roots.pem"

    def token(self, name: str = "web", namespace: str = "default", lifetime: float = 3600) -> str:
        return self.tokens.create(NamespacedName(namespace, name), self.clock(), lifetime)

    def audited(self, event: str) -> list[AuditEntry]:
        """The lines of one kind in the audit log, the server's own certificates left out."""
        lines = (self.directory / FILE_NAME).read_bytes().splitlines()
        entries = [msgspec.json.decode(line, type=AuditEntry) for line in lines]
        return [entry for entry in entries if entry.event == event and entry.how != "server"]

    @asynccontextmanager
    async def served(self, address: SocketAddress = LOOPBACK, **settings: float) -> AsyncIterator[CAServer]:
        """Its server, at a free port unless one is asked for."""
        authority = Authority(
            issuer=self.issuer, tokens=self.tokens, audit=self.audit, wall_clock=self.clock, **settings
        )
        server = CAServer(authority, address, ("localhost", "127.0.0.1"))
        await server.start()
        try:
            yield server
        finally:
            await server.stop()
