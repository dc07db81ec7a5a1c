"""What every algorithm does about members: who is in, and what changes when the set is replaced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from typing import Generic

from meshproxy.balancing.api import M

STEP = 50
"""Members handled between two yields of `replace`: some 0.2 ms."""


class Membership(ABC, Generic[M]):
    """A base that keeps the members by key, and tells an algorithm who can be picked.

    `_enter` is called when a member becomes pickable (in the set, available, with a weight),
    `_leave` when it stops being so.
    """

    __slots__ = ("_members", "_pickable")

    def __init__(self) -> None:
        self._members: dict[str, M] = {}
        self._pickable = 0

    @property
    def available_count(self) -> int:
        return self._pickable

    def replace(self, members: Sequence[M]) -> Iterator[None]:
        wanted = {member.key for member in members}
        yield
        # Newcomers first: when everyone changes, there is somebody to pick at every step.
        yield from self._admit(members)
        yield from self._dismiss_others(wanted)

    def _admit(self, members: Sequence[M]) -> Iterator[None]:
        """Let in whoever is not in yet; a member with the key of an old one takes its place."""
        for count, member in enumerate(members, 1):
            old = self._members.get(member.key)
            if old is not member:
                if old is not None:
                    self._dismiss(old)
                self._members[member.key] = member
                if member.available and member.weight:
                    self._pickable += 1
                    self._enter(member)
            if not count % STEP:
                yield

    def _dismiss_others(self, wanted: Container[str]) -> Iterator[None]:
        gone = [member for key, member in self._members.items() if key not in wanted]
        for count, member in enumerate(gone, 1):
            self._dismiss(member)
            if not count % STEP:
                yield

    def _dismiss(self, member: M) -> None:
        del self._members[member.key]
        if member.available and member.weight:
            self._pickable -= 1
            self._leave(member)

    def acquire(self, member: M) -> None:
        member.active += 1

    def release(self, member: M) -> None:
        member.active -= 1

    def set_available(self, member: M, available: bool) -> None:
        if member.available is available:
            return
        member.available = available
        if not member.weight or self._members.get(member.key) is not member:
            return
        if available:
            self._pickable += 1
            self._enter(member)
        else:
            self._pickable -= 1
            self._leave(member)

    def set_weight(self, member: M, weight: int) -> None:
        if weight == member.weight:
            return
        pickable = member.available and self._members.get(member.key) is member
        if pickable:
            self._leave(member)
        member.weight = weight
        if pickable:
            self._enter(member)

    @abstractmethod
    def pick(self, key: int) -> M | None: ...

    @abstractmethod
    def _enter(self, member: M) -> None: ...

    @abstractmethod
    def _leave(self, member: M) -> None: ...
