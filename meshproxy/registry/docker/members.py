"""Containers that are in a Service, and what of it they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.registry.docker.containers import Container
from meshproxy.registry.docker.labels import ContainerLabels, finding_about
from meshproxy.resources import Workload

V = TypeVar("V")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A container as a Workload. `ports` are the numbers of those that its labels name."""

    container: Container
    labels: ContainerLabels
    workload: Workload
    ports: dict[str, int]

    @property
    def is_stopping(self) -> bool:
        return self.workload.spec.terminating


class Agreement:
    """What the members of one Service say together: where they contradict each other the newest is right.

    To change a label is to make a new container, so that the newest says what is meant. Those that are
    stopping have no say, unless there are no others.
    """

    def __init__(self, resource: str, members: Sequence[Member]) -> None:
        running = [member for member in members if not member.is_stopping] or members
        self.members = sorted(running, key=lambda member: member.container.age_order)
        self.findings: list[Finding] = []
        self._resource = resource

    def on(self, label: str, say: Callable[[Member], V | None], members: Iterable[Member] | None = None) -> V | None:
        """What `members`, by default all, say of `label`; None where none does."""
        said: dict[str, tuple[V, Member]] = {}
        for member in self.members if members is None else members:
            value = say(member)
            if value is not None:
                said.pop(spelled := _spelled(value), None)
                said[spelled] = (value, member)
        if not said:
            return None
        if len(said) > 1:
            self._say_contradiction(label, said)
        return list(said.values())[-1][0]

    def _say_contradiction(self, label: str, said: dict[str, tuple[V, Member]]) -> None:
        *others, (newest, (_, winner)) = list(said.items())[-3:]
        rest = ", ".join(f"{member.container.name} says {spelled}" for spelled, (_, member) in others)
        message = (
            f"containers contradict each other: {rest}, and {winner.container.name} says {newest}, "
            f"which counts since that container is the newest"
        )
        self.warn(label, message)

    def warn(self, label: str, message: str) -> None:
        self.findings.append(finding_about(self._resource, label, message))


def _spelled(value: object) -> str:
    """A value as a finding shows it, the same for the same value."""
    if isinstance(value, str | int):
        return str(value)
    return msgspec.json.encode(value).decode()
