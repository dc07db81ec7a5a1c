"""One question to one upstream: a datagram and its answer, or a TCP connection where that is truncated."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable

import dns.flags
import dns.rdatatype

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import MeshproxyError
from meshproxy.dns.forwarded import is_answer_to
from meshproxy.dns.query import PAYLOAD

MAX_STRANGERS = 16
"""Datagrams that are not our answer before the exchange is given up: somebody guesses (RFC 5452 §9.1)."""

_OPT = b"\0" + struct.pack("!HHBBHH", dns.rdatatype.OPT, PAYLOAD, 0, 0, 0, 0)
_DO_PLACE = 7


class ExchangeFailed(MeshproxyError):
    """An upstream did not answer; the message says why in a few words."""


def encode_question(question: bytes, *, dnssec_ok: bool, checking_disabled: bool, edns: bool) -> bytes:
    """A query without its id."""
    flags = dns.flags.RD | (dns.flags.CD if checking_disabled else 0)
    opt = bytearray(_OPT if edns else b"")
    if edns and dnssec_ok:
        opt[_DO_PLACE] = 0x80
    return struct.pack("!HHHHH", flags, 1, 0, 0, int(edns)) + question + bytes(opt)


async def exchange(
    address: SocketAddress, query: bytes, question: bytes, within: float, random_id: Callable[[], int]
) -> bytes:
    """The answer of `address` to `query`, which is without its id, `within` seconds. Raises `ExchangeFailed`.

    Each exchange has a socket of its own, whose port Linux draws at random; it is connected, so that the kernel
    drops what comes from any other address, and tells of a port that nobody listens on (RFC 5452 §9.2).
    """
    message_id = random_id()
    wire = message_id.to_bytes(2, "big") + query
    try:
        async with asyncio.timeout(within):
            answer = await _over_udp(address, wire, question, message_id)
            if answer[2] & dns.flags.TC >> 8:
                answer = await _over_tcp(address, wire, question, message_id)
            return answer
    except TimeoutError:
        raise ExchangeFailed(f"no answer within {within:g} s") from None
    except OSError as error:
        raise ExchangeFailed(os.strerror(error.errno).lower() if error.errno else str(error)) from None


async def _over_udp(address: SocketAddress, wire: bytes, question: bytes, message_id: int) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address.host, address.port))
        sock.send(wire)
        for _ in range(MAX_STRANGERS):
            answer = await loop.sock_recv(sock, 65535)
            if is_answer_to(answer, message_id, question):
                return answer
    raise ExchangeFailed("only answers that do not fit the question: somebody may try to spoof one")


async def _over_tcp(address: SocketAddress, wire: bytes, question: bytes, message_id: int) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(len(wire).to_bytes(2, "big") + wire)
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        raise ExchangeFailed("the TCP connection was closed before an answer") from None
    finally:
        writer.transport.abort()
    if not is_answer_to(answer, message_id, question):
        raise ExchangeFailed("the answer over TCP does not fit the question")
    return answer
