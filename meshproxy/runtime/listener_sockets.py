"""Binds what the listeners listen on, and keeps it bound while workers come and go.

The supervisor holds a descriptor of every listening socket. A worker that dies leaves its
accept queue behind, and its successor takes it over.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from meshproxy.base.bind_errors import explain_bind_error
from meshproxy.snapshot.model import Listener, Transport

BACKLOG = 4096
"""Connections that may wait to be accepted (Linux' `net.core.somaxconn` default)."""


class ListenerSockets:
    """Owns the sockets of all listeners, one for each worker (`SO_REUSEPORT` where there are several)."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._bound: dict[str, tuple[socket.socket, ...]] = {}
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """Why a listener is not bound, by listener name."""
        return MappingProxyType(self._problems)

    def is_bound(self, name: str) -> bool:
        return name in self._bound

    def descriptor(self, name: str, worker: int) -> int:
        """The descriptor of listener `name` that worker number `worker` serves."""
        return self._bound[name][worker].fileno()

    def bind(self, listeners: Iterable[Listener]) -> None:
        """Bind those of `listeners` that are not bound yet; `problems` says which could not be."""
        self._problems = {}
        for listener in listeners:
            if listener.name in self._bound:
                continue
            try:
                self._bound[listener.name] = self._bind_for_workers(listener)
            except OSError as error:
                self._problems[listener.name] = explain_bind_error(listener.address, error)

    def keep_only(self, names: Collection[str]) -> None:
        """Close the sockets of every other listener."""
        for name in [name for name in self._bound if name not in names]:
            for each in self._bound.pop(name):
                each.close()

    def close(self) -> None:
        self.keep_only(())

    def _bind_for_workers(self, listener: Listener) -> tuple[socket.socket, ...]:
        shared = self._workers > 1
        if shared:
            # A port that another program of ours shares by SO_REUSEPORT would bind without a word.
            _bind(listener, shared=False).close()
        sockets: list[socket.socket] = []
        try:
            while len(sockets) < self._workers:
                sockets.append(_bind(listener, shared=shared))
                if listener.transport is Transport.TCP:
                    sockets[-1].listen(BACKLOG)
        except OSError:
            for each in sockets:
                each.close()
            raise
        return tuple(sockets)


def _bind(listener: Listener, *, shared: bool) -> socket.socket:
    address = listener.address
    tcp = listener.transport is Transport.TCP
    family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    try:
        if tcp:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Accepted sockets inherit it (tcp(7)), which saves a system call for each.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock
