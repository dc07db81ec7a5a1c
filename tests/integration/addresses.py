"""Addresses that nobody uses: Linux binds every one in 127.0.0.0/8, so each test takes its own."""

from __future__ import annotations

import random
import socket

from meshproxy.base.addresses import SocketAddress

SERVICES = "127.97"
BACKENDS = "127.201"
CLIENTS = "127.202"


def free_address(network: str = SERVICES, port: int = 0, kind: socket.SocketKind = socket.SOCK_STREAM) -> SocketAddress:
    """A random host in `network` (two bytes of it) with a port that is free there, or `port` where that is free."""
    for _ in range(100):
        host = f"{network}.{random.randrange(256)}.{random.randrange(1, 255)}"
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return SocketAddress(host, probe.getsockname()[1])
    raise AssertionError(f"no free address in {network}.0.0/16")


def free_host(network: str = CLIENTS) -> str:
    """A random host in `network`."""
    return free_address(network).host


def free_node_port() -> int:
    """A port in Kubernetes' NodePort range that nobody listens on."""
    for _ in range(100):
        port = random.randrange(30000, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free NodePort")


def can_bind(host: str, port: int) -> bool:
    """Whether this user may listen on ``host:port`` and nobody else does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
