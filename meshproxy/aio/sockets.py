"""Sockets to listen on."""

from __future__ import annotations

import socket

from meshproxy.base.addresses import SocketAddress


def bound_socket(address: SocketAddress, kind: socket.SocketKind, *, shared: bool = False) -> socket.socket:
    """A non-blocking socket that is bound and does not listen yet; raises `OSError`.

    `kind` is SOCK_STREAM or SOCK_DGRAM. Others that are `shared`, too, may be bound to the same address
    (SO_REUSEPORT, socket(7)). An IPv6 address means IPv6 alone.
    """
    sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, kind)
    try:
        if kind is socket.SOCK_STREAM:
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
