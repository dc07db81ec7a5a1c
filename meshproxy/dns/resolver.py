"""A question to an answer: ours where the zone has something to say, else an upstream's."""

from __future__ import annotations

from typing import NamedTuple

import dns.rcode
import dns.rdatatype
import dns.rrset

from meshproxy.base.clock import Clock
from meshproxy.dns import names
from meshproxy.dns.forwarded import Forwarded, MalformedAnswer
from meshproxy.dns.forwarder import Failure, Forwarder, Question
from meshproxy.dns.query import Query
from meshproxy.dns.rendering import render, render_failure, rrsets, turns
from meshproxy.dns.zone import Local, Zone

MAX_ALIASES = 8
"""External names in a row that are followed."""
FOR_EVER = float("inf")


class Answer(NamedTuple):
    """Bytes for the client. `replies` take turns; they may be given again until `until`, the clock's time."""

    replies: tuple[bytes, ...]
    rcode: str
    until: float = float("-inf")


class Resolver:
    """Answers questions by `zone`, which is replaced when the configuration changes."""

    def __init__(self, zone: Zone, forwarder: Forwarder, clock: Clock) -> None:
        self.zone = zone
        self._forwarder = forwarder
        self._clock = clock

    def at_once(self, query: Query) -> Answer | None:
        """The answer, if it needs no upstream."""
        found = self.zone.answer(query.labels, query.type)
        if found is not None:
            return self._local(query, found) if not found.alias else None
        if self._forwarder.is_probe(query.labels):
            return _failure(query, dns.rcode.NXDOMAIN)
        if not query.recursion_desired:
            return _failure(query, dns.rcode.REFUSED)
        known = self._forwarder.known(Question.of(query))
        return self._forwarded(query, known) if known is not None else None

    async def later(self, query: Query) -> Answer:
        """The answer to what `at_once` has none for."""
        found = self.zone.answer(query.labels, query.type)
        if found is not None:
            return await self._chased(query, found)
        answer = await self._forwarder.ask(Question.of(query))
        if isinstance(answer, Failure):
            return _failure(query, dns.rcode.SERVFAIL)
        return self._forwarded(query, answer)

    def refuse(self, query: Query) -> Answer:
        """The answer where there is too much to do."""
        return _failure(query, dns.rcode.SERVFAIL)

    # -- ours ----------------------------------------------------------------------------

    def _local(self, query: Query, found: Local) -> Answer:
        return Answer(
            turns(query, render(query, found, self.zone)), "NOERROR" if found.exists else "NXDOMAIN", FOR_EVER
        )

    async def _chased(self, query: Query, found: Local) -> Answer:
        """An external name, and what it leads to: another name of ours, or an upstream's answer."""
        chain: list[dns.rrset.RRset] = []
        first, seen = found, {found.alias}
        while found.alias:
            labels = names.labels_of(found.alias)
            local = self.zone.answer(labels, query.type)
            if local is None:
                asked = Question.about(labels, query.rdtype)
                answer = self._forwarder.known(asked) or await self._forwarder.ask(asked)
                if isinstance(answer, Failure):
                    return _failure(query, dns.rcode.SERVFAIL)
                return self._with_chain(query, first, chain, answer)
            if local.alias in seen or len(seen) > MAX_ALIASES:
                return _failure(query, dns.rcode.SERVFAIL)
            seen.add(local.alias)
            chain += rrsets(local.records, self.zone.ttl)
            found = local
        reply = render(query, first._replace(exists=found.exists), self.zone, chain)
        return Answer((reply,), "NOERROR" if found.exists else "NXDOMAIN", FOR_EVER)

    def _with_chain(self, query: Query, first: Local, chain: list[dns.rrset.RRset], answer: Forwarded) -> Answer:
        if answer.rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return _failure(query, dns.rcode.SERVFAIL)
        now = self._clock()
        try:
            rest = answer.answers(now)
        except MalformedAnswer:
            return _failure(query, dns.rcode.SERVFAIL)
        first = first._replace(exists=answer.rcode != dns.rcode.NXDOMAIN)  # the code is the last name's (RFC 6604 §3)
        reply = render(query, first, self.zone, (*chain, *rest))
        return Answer((reply,), dns.rcode.to_text(answer.rcode), self._good_until(answer, now))

    # -- upstreams' ----------------------------------------------------------------------

    def _forwarded(self, query: Query, answer: Forwarded) -> Answer:
        now = self._clock()
        return Answer((answer.render(query, now),), dns.rcode.to_text(answer.rcode), self._good_until(answer, now))

    def _good_until(self, answer: Forwarded, now: float) -> float:
        """Until its times to live are a second less, or it has expired."""
        if now >= answer.expires_at:
            return now
        return min(now + 1.0 - (now - answer.stored_at) % 1.0, answer.expires_at)


def _failure(query: Query, rcode: dns.rcode.Rcode) -> Answer:
    return Answer((render_failure(query, rcode),), dns.rcode.to_text(rcode))
