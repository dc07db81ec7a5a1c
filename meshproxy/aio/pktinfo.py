"""Which of a wildcard socket's addresses a datagram was sent to, so that the reply leaves from it (ip(7), ipv6(7))."""

from __future__ import annotations

import socket
from ipaddress import ip_address

IP_PKTINFO = 8  # <linux/in.h>; the socket module has it from Python 3.14
SPACE = socket.CMSG_SPACE(20)
"""Ancillary bytes for one `in_pktinfo` (12) or `in6_pktinfo` (20)."""

Control = tuple[tuple[int, int, bytes], ...]
"""Ancillary items for `socket.sendmsg`."""

_V4_SIZE = 12


def enable_if_wildcard(sock: socket.socket) -> bool:
    """Ask for the destination of each datagram where `sock` is bound to all addresses."""
    if not ip_address(sock.getsockname()[0]).is_unspecified:
        return False
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    return True


def reply_source(ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """From what came with a datagram, what has to go with the reply; empty where nothing came."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            # in_pktinfo: interface, our address, the header's destination. The two differ for broadcasts, and for
            # what came before the option was set (ours is 0 then). Interface 0: let routing decide.
            own, destination = data[4:8], data[8:12]
            return bytes(4) + (own if any(own) else destination) + bytes(4)
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            return data if link_local else data[:16] + bytes(4)
    return b""


def control_for(source: bytes) -> Control:
    """What makes a datagram leave from `source`, as `reply_source` gave it."""
    if not source:
        return ()
    if len(source) == _V4_SIZE:
        return ((socket.IPPROTO_IP, IP_PKTINFO, source),)
    return ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source),)


def host_of(source: bytes) -> str:
    """The IP address in `source`; empty where there is none."""
    if not source:
        return ""
    return str(ip_address(source[4:8] if len(source) == _V4_SIZE else source[:16]))
