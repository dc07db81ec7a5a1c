"""Binds what the listeners listen on, and keeps it bound while workers come and go.

The supervisor holds a descriptor of every listening socket. A worker that dies leaves its
accept queue behind, and its successor takes it over.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from meshproxy.aio.sockets import bound_socket
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
    kind = socket.SOCK_STREAM if listener.transport is Transport.TCP else socket.SOCK_DGRAM
    return bound_socket(listener.address, kind, shared=shared)
