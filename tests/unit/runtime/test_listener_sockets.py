"""Binding: what works stays bound, what does not says why."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.bind_errors import explain_bind_error
from meshproxy.runtime.listener_sockets import ListenerSockets
from meshproxy.snapshot.model import Listener, Transport


def make_listener(name: str, host: str, port: int, transport: Transport = Transport.TCP) -> Listener:
    return Listener(name=name, address=SocketAddress(host, port), transport=transport, cluster="c", service="default/s")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(params=[1, 3])
def sockets(request: pytest.FixtureRequest) -> Iterator[ListenerSockets]:
    made = ListenerSockets(request.param)
    yield made
    made.close()


def test_a_bound_listener_takes_connections(sockets: ListenerSockets, port: int) -> None:
    sockets.bind([make_listener("a", "127.0.0.1", port)])
    assert sockets.is_bound("a")
    assert not sockets.problems
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_tcp_and_udp_share_a_port(sockets: ListenerSockets, port: int) -> None:
    sockets.bind([make_listener("t", "127.0.0.1", port), make_listener("u", "127.0.0.1", port, Transport.UDP)])
    assert not sockets.problems


def test_a_port_in_use_is_reported_and_the_others_are_bound(sockets: ListenerSockets, port: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        wanted = [make_listener("taken", "127.0.0.1", port), make_listener("free", "127.0.0.2", port)]
        sockets.bind(wanted)
        assert "in use by another program" in sockets.problems["taken"]
        assert not sockets.is_bound("taken")
        assert sockets.is_bound("free")
    sockets.bind(wanted)
    assert sockets.is_bound("taken")
    assert not sockets.problems


def test_a_removed_listener_refuses(sockets: ListenerSockets, port: int) -> None:
    sockets.bind([make_listener("a", "127.0.0.1", port)])
    sockets.keep_only(())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_each_worker_has_its_own_descriptor(port: int) -> None:
    sockets = ListenerSockets(2)
    sockets.bind([make_listener("a", "127.0.0.1", port)])
    assert sockets.descriptor("a", 0) != sockets.descriptor("a", 1)
    sockets.close()


def test_an_address_of_another_machine() -> None:
    sockets = ListenerSockets(1)
    sockets.bind([make_listener("a", "192.0.2.1", 8080)])
    assert "192.0.2.1 is not an address of this machine" in sockets.problems["a"]


@pytest.mark.parametrize(
    ("number", "part"),
    [
        (errno.EACCES, "CAP_NET_BIND_SERVICE"),
        (errno.EADDRINUSE, "127.0.0.1:80 is in use by another program"),
        (errno.EMFILE, "raise the limit of open files"),
        (errno.ENOPROTOOPT, "could not be bound"),
    ],
)
def test_bind_errors_say_what_would_help(number: int, part: str) -> None:
    assert part in explain_bind_error(SocketAddress("127.0.0.1", 80), OSError(number, "x"))
