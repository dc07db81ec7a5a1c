"""The endpoints of one port of a Service, by who asks for them. Each answer is worked out once."""

from __future__ import annotations

from meshproxy.compiler import priorities
from meshproxy.compiler.endpoint_slices import Candidate
from meshproxy.compiler.proxy_settings import Environment
from meshproxy.compiler.virtual_ips import family_of
from meshproxy.resources.service import IPFamily, ServiceSpec
from meshproxy.snapshot.model import Endpoint

Candidates = tuple[Candidate, ...]


class PortEndpoints:
    """What `candidates` are to clients of a family, on all nodes or this one."""

    def __init__(self, candidates: Candidates, spec: ServiceSpec, environment: Environment) -> None:
        self._candidates = candidates
        self._spec = spec
        self._environment = environment
        self._chosen: dict[tuple[IPFamily, bool], Candidates] = {}
        self._usable: dict[tuple[IPFamily, bool], tuple[Endpoint, ...]] = {}
        self.not_ready = priorities.not_ready(candidates, spec)

    def chosen(self, family: IPFamily, *, local: bool) -> Candidates:
        """The candidates of `family`, or all where there are none of it; with `local` those on this node."""
        known = self._chosen.get((family, local))
        if known is None:
            here = priorities.on_node(self._candidates, self._environment) if local else self._candidates
            known = tuple(each for each in here if family_of(each.address.host) is family) or here
            self._chosen[family, local] = known
        return known

    def usable(self, family: IPFamily, *, local: bool) -> tuple[Endpoint, ...]:
        """Those of `chosen` that get traffic."""
        known = self._usable.get((family, local))
        if known is None:
            known = priorities.usable(self.chosen(family, local=local), self._spec, self._environment)
            self._usable[family, local] = known
        return known
