"""Consul's intentions as a source: who may call the services here, as ServiceIntentions.

Theory of operation. One blocking query of the list of intentions says when any has changed. Then, for each destination,
those are asked for that match it: they are the whole truth, where a list would pass over in silence what a token may
not read, and with it what forbids a call. (Before Consul 1.9 they cannot be watched themselves: no index comes with
them.) What holds where none matches is a setting of Consul's (``default_intention_policy``, else the ACLs'
``default_policy``) that nothing shows; the agent is therefore asked whether a service may come in that no intention
names. That says nothing where an intention is about every service; what is left to the default then is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

from consul.callback import CB

from meshproxy.base.errors import Finding
from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.entries import Authorized, IntentionEntry
from meshproxy.registry.consul.intention_rules import convert, is_about_everyone
from meshproxy.registry.consul.watch import Watch
from meshproxy.resources import ServiceIntentions
from meshproxy.resources.intentions import ConsulIntentions
from meshproxy.resources.update import SourceUpdate

LIST = "/v1/connect/intentions"
MATCH = "/v1/connect/intentions/match"
AUTHORIZE = "/v1/agent/connect/authorize"
NOBODY = "meshproxy-asks-for-the-default"
"""A service that there is not, nor an intention about it."""
STRANGER = f"spiffe://meshproxy.consul/ns/default/dc/dc1/svc/{NOBODY}"
"""Its certificate's URI, of which Consul looks at the name only."""
NONE = f'SourceName == "{NOBODY}"'
"""A filter: of the list nothing is wanted but its index."""

Matches = dict[str, tuple[IntentionEntry, ...] | None]
Found = tuple[ServiceIntentions, tuple[Finding, ...]]


class IntentionsSource:
    """Implements `resources.update.Source`. `wait` bounds a blocking query, in seconds."""

    def __init__(self, spec: ConsulIntentions, wait: float, agent: ConsulAgent, random: Callable[[], float]) -> None:
        self._spec = spec
        self._agent = agent
        self._watch = Watch(wait, random, self._tell_trouble)
        self._emit: Callable[[SourceUpdate], None] = lambda update: None
        self._known: SourceUpdate | None = None
        self._trouble = ""

    @property
    def name(self) -> str:
        return self._spec.called

    def refresh(self) -> None:
        if self._known is not None:
            self._emit(self._known)

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        self._emit, self._known, self._trouble = emit, None, ""
        try:
            await self._watch.run(self._ask, self._take)
        finally:
            await self._agent.close()

    # -- asking --------------------------------------------------------------------------

    async def _ask(self, index: int, wait: str) -> tuple[int, tuple[Found, ...]]:
        new_index = await self._changed(index, wait)
        return new_index, tuple([await self._find(each) for each in self._spec.destinations])

    async def _changed(self, index: int, wait: str) -> int:
        """Wait until any intention has changed, since `index` if there is one."""
        params = [("index", str(index)), ("wait", wait), ("filter", NONE)] if index else [("filter", NONE)]
        new_index, _ = await self._agent.query(
            lambda consul: consul.http.get(CB.json(index=True), LIST, params), tuple[dict[str, object], ...]
        )
        return new_index

    async def _find(self, destination: str) -> Found:
        params = [("by", "destination"), ("name", destination)]
        matches = await self._agent.query_plain(MATCH, Matches, params)
        entries = tuple(chain.from_iterable(each or () for each in matches.values()))
        return convert(destination, entries, await self._default(destination, entries))

    async def _default(self, destination: str, entries: Iterable[IntentionEntry]) -> bool:
        """Whether callers that no intention is about may come in."""
        if any(map(is_about_everyone, entries)):
            return False
        stranger = {"Target": destination, "ClientCertURI": STRANGER, "ClientCertSerial": "00"}
        return (await self._agent.post(AUTHORIZE, stranger, Authorized)).authorized

    # -- what is said --------------------------------------------------------------------

    async def _take(self, found: tuple[Found, ...], changed: bool) -> None:
        update = SourceUpdate(
            source=self.name,
            resources=tuple(each for each, _ in found),
            findings=tuple(chain.from_iterable(findings for _, findings in found)),
        )
        if update != self._known or self._trouble:
            self._known, self._trouble = update, ""
            self._emit(update)

    def _tell_trouble(self, problem: str) -> None:
        """What was said stays so; that the trouble is over is said with what is so then."""
        if problem and problem != self._trouble:
            self._trouble = problem
            self._emit(SourceUpdate(source=self.name, resources=None, problem=problem))
