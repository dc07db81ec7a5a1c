"""The DNS server's UDP socket."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

from meshproxy.aio import pktinfo
from meshproxy.dns.front import Front, Guests

BATCH = 64
"""Datagrams that are read before others in the process get their turn."""
MAX_QUERY = 960
"""Bytes of a query; more are cut off, and what is left is malformed. (malloc has this much at hand: glibc's tcache.)"""
BUFFER = 1024 * 1024
"""Bytes of queries that may wait in the kernel, which grants at most net.core.rmem_max."""


class UDPServer:
    """Answers datagrams on `sock`, which it owns."""

    def __init__(self, sock: socket.socket, front: Front, guests: Guests) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._sock = sock
        self._front = front
        self._guests = guests
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read_from_any if pktinfo.enable_if_wildcard(sock) else self._read)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _read(self) -> None:
        """Answer what waits. The hot path: `Front.known` is written out here, and its clock read once."""
        receive, send, answers = self._sock.recvfrom, self._sock.sendto, self._front.cache.answers
        may_ask = self._guests.may_ask if self._guests.checks else None
        now = self._front.clock()
        try:
            for _ in range(BATCH):
                data, client = receive(MAX_QUERY)
                if may_ask is not None and not may_ask(client[0]):
                    continue
                answer = answers.get(data[2:])
                if answer is not None and answer.until > now:
                    answer.tally.fast += 1
                    send(data[:2] + answer.next_reply(), client)
                else:
                    self._front.serve(data, partial(self._send, client))
        except OSError:  # nothing waits, or an answer cannot be sent: its client asks again
            return

    def _read_from_any(self) -> None:
        """The same on a wildcard address: an answer has to leave from where the query went."""
        for _ in range(BATCH):
            try:
                data, ancillary, _, client = self._sock.recvmsg(MAX_QUERY, pktinfo.SPACE)
            except OSError:
                return
            if self._guests.may_ask(client[0]):
                respond = partial(self._send_from, pktinfo.control_for(pktinfo.reply_source(ancillary)), client)
                reply = self._front.known(data)
                if reply is not None:
                    respond(reply)
                else:
                    self._front.serve(data, respond)

    def _send(self, client: Any, reply: bytes) -> None:
        if reply:
            try:
                self._sock.sendto(reply, client)
            except OSError:  # the client asks again, as for every lost datagram
                return

    def _send_from(self, control: pktinfo.Control, client: Any, reply: bytes) -> None:
        if reply:
            try:
                self._sock.sendmsg((reply,), control, 0, client)
            except OSError:
                return
