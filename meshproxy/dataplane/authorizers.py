"""What the listeners of one worker ask of their callers, and how often they refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshproxy.authorization.authorizer import Authorizer, Verdict
from meshproxy.authorization.caller import Caller
from meshproxy.dataplane.tally import Tally
from meshproxy.routing.api import Request
from meshproxy.snapshot.authorization import Authorization
from meshproxy.snapshot.messages import AUDITED, DENIED, DecisionCount
from meshproxy.telemetry.logs import RateLimited

_GONE = Verdict(False, "a policy that is gone")
"""On what is left of a listener that was removed together with its policies."""


class _Pair(NamedTuple):
    """Two views of one authorization."""

    requests: Authorizer
    connections: Authorizer


class Authorizers:
    """The authorizations in force, by name; looked up for each call, so that a change is seen at once.

    `log` is told what audit rules would refuse.
    """

    def __init__(self, log: RateLimited) -> None:
        self._log = log
        self._pairs: dict[str, _Pair] = {}
        self._decisions: Tally[tuple[str, str, str]] = Tally()

    # -- configuration -------------------------------------------------------------------

    def put(self, config: Authorization) -> Iterator[None]:
        """Build beside what is in force, in steps, then change over at once."""
        pair = _Pair(Authorizer(config), Authorizer(config))
        yield from pair.requests.fill(http=True)
        yield from pair.connections.fill(http=False)
        self._pairs[config.name] = pair

    def remove(self, name: str) -> None:
        self._pairs.pop(name, None)
        self._decisions.keep_only(lambda key: key[0] != name)

    def names(self) -> tuple[str, ...]:
        return tuple(self._pairs)

    # -- verdicts ------------------------------------------------------------------------

    def refusal_of_request(self, name: str, caller: Caller, request: Request) -> str:
        """The policy that refuses `request` (or that there is none to allow it); empty where it may pass."""
        pair = self._pairs.get(name)
        verdict = pair.requests.of_request(caller, request) if pair is not None else _GONE
        if verdict.audited or not verdict.allowed:
            self._count(name, verdict, caller, _Line(request))
        return "" if verdict.allowed else verdict.policy

    def refusal_of_connection(self, name: str, caller: Caller) -> str:
        """The same for a connection, or a session of datagrams."""
        pair = self._pairs.get(name)
        verdict = pair.connections.of_connection(caller) if pair is not None else _GONE
        if verdict.audited or not verdict.allowed:
            self._count(name, verdict, caller, "a connection")
        return "" if verdict.allowed else verdict.policy

    def closes(self, name: str) -> bool:
        """Whether what is open and would be refused by now is to be closed."""
        pair = self._pairs.get(name)
        return pair is not None and pair.requests.config.closes_connections

    def would_refuse_request(self, name: str, caller: Caller, request: Request) -> bool:
        """Whether a request that is under way is to end for that; not counted."""
        return self.closes(name) and not self._pairs[name].requests.of_request(caller, request).allowed

    def would_refuse_connection(self, name: str, caller: Caller) -> bool:
        """The same of a connection, or a session of datagrams."""
        return self.closes(name) and not self._pairs[name].connections.of_connection(caller).allowed

    def _count(self, name: str, verdict: Verdict, caller: Caller, what: object) -> None:
        if not verdict.allowed:
            self._decisions.count((name, verdict.policy, DENIED))
        if verdict.audited:
            self._decisions.count((name, verdict.audited, AUDITED))
            self._log.warning("%s: %s would refuse %s of %s", name, verdict.audited, what, caller)

    def take_changed(self) -> tuple[DecisionCount, ...]:
        """The decisions that were counted since the last call, with all of their counts."""
        return tuple(DecisionCount(*key, count) for key, count in self._decisions.take_changed().items())


class _Line:
    """A request as a log has it, for which it is written when it is logged indeed."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __str__(self) -> str:
        request = self._request
        return f"{request.method.decode('latin-1')} {(request.host + request.path)[:512]!r}"
