"""An identity from Consul's Connect CA: whose identity it is, is the name of a Consul service.

The agent makes key and certificate, and renews them. Roots and leaf are watched by a blocking query each. Every root
that Consul lists is trusted until it expires, active or not, so that a rotation of Consul's CA breaks nothing; what
Consul no longer lists is distrusted at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from meshproxy.base.backoff import Backoff
from meshproxy.identity.sources.api import Emit, Trouble
from meshproxy.identity.sources.consul_agent import ConsulAgent, Leaf, Roots
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.identity.svid import IdentityError, Wanted, make_identity

RETRY = (0.5, 30.0)
"""Seconds: the first wait after a failure, and the longest."""
PAUSE = 1.0
"""Seconds between two queries that brought nothing new: a server that does not block must not be asked all the time."""
NAMESPACE = "default"
"""Of every identity: namespaces are Consul Enterprise's."""

Query = Callable[[aiohttp.ClientSession, int], Awaitable[tuple[Any, int]]]


class ConsulIdentitySource:
    """Implements `sources.api.IdentitySource`."""

    def __init__(self, agent: ConsulAgent, wanted: Wanted, surroundings: Surroundings) -> None:
        self._agent = agent
        self._service = wanted.service_account
        self._wanted = wanted._replace(namespace=NAMESPACE)
        self._surroundings = surroundings
        self._roots: Roots | None = None
        self._leaf: Leaf | None = None
        self._hurry = {"roots": asyncio.Event(), "leaf": asyncio.Event()}

    @property
    def name(self) -> str:
        return "consul"

    def refresh(self) -> None:
        """Ask again now, where the agent did not answer; where it does, it says what is new by itself."""
        for event in self._hurry.values():
            event.set()

    def at_hand(self) -> None:
        """Nothing: somebody must be asked."""

    async def run(self, emit: Emit) -> None:
        async def leaf(session: aiohttp.ClientSession, index: int) -> tuple[Leaf, int]:
            return await self._agent.leaf(session, self._service, index)

        def take_roots(value: Roots) -> None:
            self._roots = value

        def take_leaf(value: Leaf) -> None:
            self._leaf = value

        async with self._agent.session() as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow("roots", session, self._agent.roots, take_roots, emit))
            tasks.create_task(self._follow("leaf", session, leaf, take_leaf, emit))

    async def _follow(
        self, what: str, session: aiohttp.ClientSession, query: Query, take: Callable[[Any], None], emit: Emit
    ) -> None:
        """Ask for one of the two again and again, until cancelled."""
        backoff = Backoff(*RETRY, self._surroundings.random)
        index = 0
        while True:
            self._hurry[what].clear()
            try:
                value, new_index = await query(session, index)
                take(value)
                self._combine(emit)
            except IdentityError as error:
                emit(Trouble(str(error)))
                index = 0
                await self._surroundings.wait(self._hurry[what], backoff.next_delay())
                continue
            backoff.reset()
            if new_index <= index:
                await self._surroundings.wait(self._hurry[what], PAUSE)
            index = new_index if new_index >= index else 0  # Consul's advice: a state that was restored begins anew

    def _combine(self, emit: Emit) -> None:
        """Roots and leaf make an identity; one that is signed by roots to come has to wait for them."""
        if self._roots is None or self._leaf is None:
            return
        bundle = "\n".join(root.root_cert for root in self._roots.roots)
        between = (each for root in self._roots.roots for each in root.intermediate_certs or ())
        chain = "\n".join((self._leaf.certificate, *between))
        texts = (chain.encode(), self._leaf.key.encode(), bundle.encode())
        emit(make_identity(*texts, self._surroundings.wall_clock(), self._wanted))
