"""What both transports do with a message: find its answer, count it, keep its bytes."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.clock import Clock
from meshproxy.dns.answer_cache import AnswerCache, CachedAnswer
from meshproxy.dns.query import Query, Refusal, read_query
from meshproxy.dns.resolver import Answer, Resolver
from meshproxy.dns.tally import Tallies

MAX_WAITING = 1000
"""Queries that wait for an upstream at once (dnsmasq: 150); more are answered with SERVFAIL."""
MAX_KNOWN_CLIENTS = 4096
"""Addresses whose rights are remembered."""

Respond = Callable[[bytes], None]


class Front:
    """Answers the messages of one transport. Owns its `cache`, and the queries that wait for an upstream."""

    def __init__(self, protocol: str, resolver: Resolver, tallies: Tallies, clock: Clock) -> None:
        self.cache = AnswerCache()
        self.clock = clock
        self.dropped = 0
        self._protocol = protocol
        self._resolver = resolver
        self._tallies = tallies
        self._waiting = OwnedTasks()

    async def stop(self) -> None:
        """Forget what waits for an upstream."""
        await self._waiting.cancel()

    def known(self, data: bytes) -> bytes | None:
        """The answer to a message whose like was answered before: the fast path."""
        answer = self.cache.answers.get(data[2:])
        if answer is None or answer.until <= self.clock():
            return None
        answer.tally.fast += 1
        return data[:2] + answer.next_reply()

    def serve(self, data: bytes, respond: Respond) -> None:
        """Answer a message, now or later; `respond` is called once, with no bytes where there is to be silence."""
        query = read_query(data, tcp=self._protocol == "tcp")
        if isinstance(query, Refusal):
            self._tallies.count(self._protocol, "none", query.rcode if query.reply else "dropped")
            respond(query.reply or b"")
            return
        answer = self._resolver.at_once(query)
        if answer is None and len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            answer = self._resolver.refuse(query)
        if answer is None:
            self._waiting.start(self._serve_later(query, data, respond), name="DNS query")
        else:
            self._respond(query, data, answer, respond)

    async def _serve_later(self, query: Query, data: bytes, respond: Respond) -> None:
        zone = self._resolver.zone
        answer = await self._resolver.later(query)
        if zone is not self._resolver.zone:
            answer = answer._replace(until=float("-inf"))  # the configuration changed meanwhile
        self._respond(query, data, answer, respond)

    def _respond(self, query: Query, data: bytes, answer: Answer, respond: Respond) -> None:
        tally = self._tallies.of(self._protocol, query.type, answer.rcode)
        tally.queries += 1
        if query.plain and answer.until > self.clock():
            replies = [reply[2:] for reply in answer.replies]
            self.cache.put(data[2:], CachedAnswer(replies, answer.until, tally))
        respond(answer.replies[0])


class Guests:
    """Who may ask: an open resolver on the Internet would be used to attack others (RFC 5358).

    On a loopback address everybody who reaches it may; elsewhere those whose address is not a public one.
    """

    def __init__(self, listens: SocketAddress) -> None:
        self.checks = not ip_address(listens.host).is_loopback
        self._known: dict[str, bool] = {}

    def may_ask(self, host: str) -> bool:
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= MAX_KNOWN_CLIENTS:
                self._known.clear()
            known = self._known[host] = not ip_address(host.partition("%")[0]).is_global
        return known
