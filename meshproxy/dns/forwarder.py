"""Names that are not ours: a bounded cache, one exchange for equal questions, several upstreams, stale at worst."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import dns.rcode
import dns.rdatatype

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.clock import Clock
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.dns.exchange import ExchangeFailed, encode_question, exchange
from meshproxy.dns.forwarded import Forwarded, MalformedAnswer, read_answer
from meshproxy.dns.names import Labels
from meshproxy.dns.query import Query, encode_name
from meshproxy.dns.upstreams import Upstream, Upstreams

MAX_ANSWERS = 10_000
"""Answers that are kept; dnsmasq keeps 150, Unbound 4 MiB."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""What they hold together, at most."""
MAX_STALE = 86400.0
"""Seconds that an answer is kept beyond its time, for when no upstream answers (RFC 8767 §5)."""
FAILURE_RECHECK = 30.0
"""Seconds in which a stale answer is given at once, before upstreams are asked again (RFC 8767 §5)."""
FAILURE_TTL = 1.0
"""Seconds that a failure is remembered, so that clients who try again do no harm (RFC 9520 §3.2)."""
DOCKER = "127.0.0.11"
"""Docker's own server, which says 600 s of containers that come and go, and is asked within this machine."""
MAX_DOCKER_TTL = 5
PROBE_INTERVAL = 30.0
"""Seconds between looks whether a failing upstream leads back to us, at least."""
PROBE_SUFFIX: Labels = ("loop-probe", "meshproxy")
SUBJECT = "Proxy/dns"

_TRY_ANOTHER = frozenset({dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR})
_IN = b"\0\1"


class Failure(NamedTuple):
    """No upstream answered: who failed, and how."""

    why: str


class Question(NamedTuple):
    """What is asked of upstreams, and what equal questions are. `wire` is a question section in lower case."""

    wire: bytes
    dnssec_ok: bool = False
    checking_disabled: bool = False

    @classmethod
    def of(cls, query: Query) -> Question:
        return cls(
            query.wire_name.lower() + query.rdtype.to_bytes(2, "big") + _IN, query.dnssec_ok, query.checking_disabled
        )

    @classmethod
    def about(cls, labels: Labels, rdtype: int) -> Question:
        name = encode_name(each.encode("latin-1") for each in labels)
        return cls(name + rdtype.to_bytes(2, "big") + _IN)


class Forwarder:
    """Owns the upstreams, and what they answered. `random` gives ids: it must not be guessable."""

    def __init__(self, *, clock: Clock, random: Random, on_event: EventSink) -> None:
        self._clock = clock
        self._random = random
        self._on_event = on_event
        self._timeout = 1.5
        self._tasks = OwnedTasks()
        self._answers: OrderedDict[Question, Forwarded] = OrderedDict()
        self._bytes = 0
        self._failures: dict[Question, tuple[float, str]] = {}
        self._under_way: dict[Question, asyncio.Task[Forwarded | Failure]] = {}
        self._probes: dict[str, Upstream] = {}
        self._probed_at: dict[SocketAddress, float] = {}
        self.upstreams = Upstreams()
        self.hits = 0
        self.stale = 0

    def now(self) -> float:
        return self._clock()

    @property
    def cached_answers(self) -> int:
        return len(self._answers)

    @property
    def under_way(self) -> int:
        """Questions that upstreams are asked now."""
        return len(self._under_way)

    def configure(self, addresses: Sequence[SocketAddress], own: SocketAddress | None, timeout: float) -> bool:
        """Ask `addresses` from now on, each try for `timeout` seconds. `own` is where we listen.

        Whether answers were forgotten is returned: another upstream, as of another network, may give others. When
        upstreams only go away, as those of a network that is down, answers stay.
        """
        self._timeout = timeout
        comers = self.upstreams.configure(addresses, own)
        for upstream in comers:
            self._probe(upstream)
        if comers:
            self._answers.clear()
            self._failures.clear()
            self._bytes = 0
        return bool(comers)

    async def stop(self) -> None:
        await self._tasks.cancel()

    # -- questions -----------------------------------------------------------------------

    def peek(self, question: Question) -> Forwarded | None:
        """The answer that is kept, however old, for those who only want to know."""
        return self._answers.get(question)

    def failure_of(self, question: Question) -> str:
        """Why a try to ask `question` failed a moment ago; empty where none did."""
        failed_at, why = self._failures.get(question, (float("-inf"), ""))
        return why if self._clock() - failed_at < FAILURE_RECHECK else ""

    def known(self, question: Question) -> Forwarded | None:
        """The answer that is in the cache, if it is fresh, or stale and upstreams failed a moment ago."""
        found = self._answers.get(question)
        if found is None:
            return None
        now = self._clock()
        if now >= found.expires_at:
            failed_at, _ = self._failures.get(question, (float("-inf"), ""))
            if now - failed_at >= FAILURE_RECHECK or now - found.expires_at >= MAX_STALE:
                return None
            self.stale += 1
        self._answers.move_to_end(question)
        self.hits += 1
        return found

    async def ask(self, question: Question) -> Forwarded | Failure:
        """The answer of an upstream, or a stale one where none answers; equal questions are asked once."""
        failed_at, why = self._failures.get(question, (float("-inf"), ""))
        if self._clock() - failed_at < FAILURE_TTL:
            return Failure(why)
        task = self._under_way.get(question)
        if task is None:
            task = self._tasks.start(self._settle(question), name="DNS forward")
            self._under_way[question] = task
            task.add_done_callback(lambda _: self._under_way.pop(question, None))
        return await asyncio.shield(task)

    async def _settle(self, question: Question) -> Forwarded | Failure:
        """Ask, and remember what came of it."""
        answer = await self._ask_upstreams(question)
        if isinstance(answer, Failure) or answer.rcode in _TRY_ANOTHER:
            return self._stale_or(answer, question)
        self._failures.pop(question, None)
        if answer.ttl:
            self._remember(question, answer)
        return answer

    def _stale_or(self, answer: Forwarded | Failure, question: Question) -> Forwarded | Failure:
        """An answer that is too old goes before one that is none."""
        stale = self._answers.get(question)
        if stale is not None and self._clock() - stale.expires_at >= MAX_STALE:
            stale = None
        if isinstance(answer, Failure):
            self._remember_failure(question, answer.why)
        elif stale is not None:
            self._remember_failure(question, f"{answer.upstream}: {answer.rcode.name}")
        if stale is None:
            return answer
        self.stale += 1
        return stale

    async def _ask_upstreams(self, question: Question) -> Forwarded | Failure:
        """Ask one upstream after the other. One that refuses or fails is believed only if all do."""
        tries = self.upstreams.tries(self._clock())
        refusal: Forwarded | None = None
        problems: list[str] = []
        for upstream in tries:
            answer = await self._ask_one(upstream, question)
            if isinstance(answer, Failure):
                problems.append(f"{upstream.address}: {answer.why}")
            elif answer.rcode in _TRY_ANOTHER:
                refusal = answer
            else:
                return answer
        if refusal is not None:
            return refusal
        return Failure("; ".join(dict.fromkeys(problems)) or self.upstreams.why_none())

    async def _ask_one(self, upstream: Upstream, question: Question) -> Forwarded | Failure:
        started = self._clock()
        try:
            answer = await self._exchange(upstream, question, edns=True)
            if answer.rcode == dns.rcode.FORMERR:  # it may be older than EDNS (RFC 6891 §7)
                answer = await self._exchange(upstream, question, edns=False)
        except (ExchangeFailed, MalformedAnswer) as error:
            upstream.failed(str(error), self._clock())
            self._probe(upstream)
            return Failure(str(error))
        upstream.answered(self._clock() - started)
        return answer

    async def _exchange(self, upstream: Upstream, question: Question, *, edns: bool) -> Forwarded:
        query = encode_question(
            question.wire, dnssec_ok=question.dnssec_ok, checking_disabled=question.checking_disabled, edns=edns
        )
        answer = await exchange(upstream.address, query, question.wire, self._timeout, self._random_id)
        read = read_answer(answer, question.wire, self._clock(), str(upstream.address))
        if upstream.address.host == DOCKER and read.ttl > MAX_DOCKER_TTL:
            return read._replace(ttl=MAX_DOCKER_TTL)
        return read

    def _random_id(self) -> int:
        return self._random.getrandbits(16)

    # -- what is kept --------------------------------------------------------------------

    def _remember(self, question: Question, answer: Forwarded) -> None:
        self._forget(question)
        self._answers[question] = answer
        self._bytes += len(answer.wire)
        while len(self._answers) > MAX_ANSWERS or self._bytes > MAX_ANSWER_BYTES:
            self._forget(next(iter(self._answers)))

    def _forget(self, question: Question) -> None:
        before = self._answers.pop(question, None)
        if before is not None:
            self._bytes -= len(before.wire)

    def _remember_failure(self, question: Question, why: str) -> None:
        self._failures.pop(question, None)
        if len(self._failures) >= MAX_ANSWERS:
            del self._failures[next(iter(self._failures))]
        self._failures[question] = (self._clock(), why)

    # -- loops ---------------------------------------------------------------------------

    def _probe(self, upstream: Upstream) -> None:
        """Ask `upstream` for a name that only we know: should it come to us, we would ask ourselves for ever."""
        now = self._clock()
        if now - self._probed_at.get(upstream.address, float("-inf")) < PROBE_INTERVAL:
            return
        self._probed_at = {each.address: self._probed_at.get(each.address, now) for each in self.upstreams.all}
        self._probed_at[upstream.address] = now
        secret = f"{self._random.getrandbits(64):016x}"
        self._probes[secret] = upstream
        self._tasks.start(self._send_probe(upstream, secret), name="DNS loop probe")

    async def _send_probe(self, upstream: Upstream, secret: str) -> None:
        question = Question.about((secret, *PROBE_SUFFIX), dns.rdatatype.TXT)
        query = encode_question(question.wire, dnssec_ok=False, checking_disabled=False, edns=False)
        try:
            await exchange(upstream.address, query, question.wire, self._timeout, self._random_id)
        except ExchangeFailed:
            pass  # whether it answers is no matter
        finally:
            self._probes.pop(secret, None)

    def is_probe(self, labels: Labels) -> bool:
        """Whether a question that came to us is one that we sent: then its upstream is not asked any more."""
        if labels[1:] != PROBE_SUFFIX:
            return False
        upstream = self._probes.get(labels[0])
        if upstream is not None:
            upstream.looped(self._clock())
            message = f"the DNS upstream {upstream.address} asks us what we ask it; it is left out while that is so"
            self._on_event(Event(type=EventType.WARNING, reason="DNSLoop", subject=SUBJECT, message=message))
        return True
