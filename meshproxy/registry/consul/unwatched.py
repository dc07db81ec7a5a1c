"""Services without a blocking query of their own: fetched when something says that they may have changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from meshproxy.aio.coalesce import Coalescer
from meshproxy.base.backoff import Backoff
from meshproxy.registry.consul.agent import ConsulAgent, ConsulError
from meshproxy.registry.consul.entries import Check, Instance, ServiceSummary
from meshproxy.registry.consul.watch import FIRST_RETRY, LAST_RETRY, Watch
from meshproxy.resources.sources import ConsulSource

FETCHES = 8
"""Requests at a time."""
SCAN_DELAY, SCAN_INTERVAL = 0.25, 2.0
"""Seconds until all of them are fetched, after those that are known to have changed, and between that at least."""

Checks = tuple[Check, ...]
Instances = tuple[Instance, ...]
Seen = frozenset[tuple[str, str, str]]
"""Checks by node, id and service; the service of a node's own checks is empty."""
Summaries = tuple[ServiceSummary, ...]


def ask_instances(agent: ConsulAgent, name: str, index: int = 0, wait: str = "") -> Awaitable[tuple[int, Instances]]:
    """The instances of service `name` with their checks."""
    return agent.query(lambda consul: consul.health.service(name, index=index, wait=wait), Instances)


class Unwatched:
    """Owns which of these services are to be fetched. `take` is given what they are, `tell` what is wrong."""

    def __init__(
        self,
        agent: ConsulAgent,
        spec: ConsulSource,
        random: Callable[[], float],
        take: Callable[[str, Iterable[Instance]], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self._agent = agent
        self._wait = float(spec.wait)
        self._random = random
        self._take = take
        self._tell = tell
        self._nodes: dict[str, frozenset[str]] = {}
        self._marked: OrderedDict[str, None] = OrderedDict()
        self._fetching: set[str] = set()
        self._needed = asyncio.Event()
        self._work = asyncio.Event()
        self._seen: dict[str, Seen] = {}
        self._summaries: frozenset[ServiceSummary] = frozenset()
        self._scans = Coalescer(self._scan, delay=SCAN_DELAY, interval=SCAN_INTERVAL)

    def add(self, name: str) -> None:
        """`name` belongs to these, if it did not yet."""
        if name not in self._nodes:
            self._nodes[name] = frozenset()
            self._mark(name)
            self._needed.set()

    def remove(self, name: str) -> None:
        """`name` belongs to these no longer."""
        self._nodes.pop(name, None)
        self._marked.pop(name, None)

    def mark_all(self) -> None:
        """Fetch all of them, in their turn."""
        self._scans.changed()

    async def run(self) -> None:
        """Until cancelled; nothing is asked before there is a service to ask for."""
        await self._needed.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._scans.run(), name="scans")
            for status in ("critical", "warning"):
                group.create_task(self._follow_checks(status), name=f"{status} checks")
            for number in range(FETCHES):
                group.create_task(self._fetch(), name=f"fetch {number}")

    # -- what may have changed -----------------------------------------------------------

    async def names_answered(self, retagged: Iterable[str], changed: bool) -> None:
        """The list of services has answered: at every registration, and after a while without any."""
        if not self._nodes:
            return
        for name in retagged:
            self._mark(name)
        if changed:
            await self._compare_summaries()
        self.mark_all()

    async def _compare_summaries(self) -> None:
        """Which services have other numbers of instances or checks: they are fetched long before all are.

        This is what Consul's own web page asks for, not a documented request: where it fails nothing is lost but time.
        """
        try:
            summaries = frozenset(await self._agent.query_plain("/v1/internal/ui/services", Summaries))
        except ConsulError:
            return
        before, self._summaries = self._summaries, summaries
        for summary in summaries ^ before:
            self._mark(summary.name)

    async def _follow_checks(self, status: str) -> None:
        async def take(checks: Checks, changed: bool) -> None:
            if changed:
                self._compare(status, checks)

        watch = Watch(self._wait, self._random, lambda problem: self._tell(f"/v1/health/state/{status}", problem))
        await watch.run(
            lambda index, wait: self._agent.query(
                lambda consul: consul.health.state(status, index=index, wait=wait), Checks
            ),
            take,
        )

    def _compare(self, what: str, checks: Checks) -> None:
        now = frozenset((check.node, check.check_id, check.service_name) for check in checks)
        before, self._seen[what] = self._seen.get(what), now
        if before is None:
            # What happened between a fetch and this list is not known.
            self.mark_all()
            return
        for node, _, service in before ^ now:
            if service:
                self._mark(service)
            else:
                for name, nodes in self._nodes.items():
                    if node in nodes:
                        self._mark(name)

    def _mark(self, name: str) -> None:
        """Fetch `name` next."""
        if name in self._nodes:
            self._marked[name] = None
            self._marked.move_to_end(name, last=False)
            self._work.set()

    async def _scan(self) -> None:
        for name in self._nodes:
            self._marked.setdefault(name, None)
        self._work.set()

    # -- fetching ------------------------------------------------------------------------

    async def _fetch(self) -> None:
        """Take one marked service after another."""
        backoff = Backoff(FIRST_RETRY, LAST_RETRY, self._random)
        while True:
            name = next((name for name in self._marked if name not in self._fetching), None)
            if name is None:
                self._work.clear()
                await self._work.wait()
                continue
            del self._marked[name]
            self._fetching.add(name)
            try:
                _, instances = await ask_instances(self._agent, name)
            except ConsulError as error:
                self._failed(name, str(error))
                await asyncio.sleep(backoff.next_delay())
            else:
                backoff.reset()
                self._fetched(name, instances)
            finally:
                self._fetching.discard(name)
                self._work.set()

    def _fetched(self, name: str, instances: Instances) -> None:
        if name in self._nodes:
            self._nodes[name] = frozenset(instance.node.node for instance in instances)
            self._tell(name, "")
            self._take(name, instances)

    def _failed(self, name: str, problem: str) -> None:
        if name in self._nodes:
            self._tell(name, problem)
            self._marked.setdefault(name, None)
