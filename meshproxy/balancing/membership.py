"""What every algorithm does about members: who is in, and what changes when the set is replaced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic

from meshproxy.balancing.api import M

STEP = 200
"""Members handled between two yields of `replace`: well under a millisecond."""


class Membership(ABC, Generic[M]):
    """A base that keeps the set of members by key, and tells an algorithm who can be picked.

    `_enter` is called when a member becomes pickable (in the set, available, with a weight),
    `_leave` when it stops being so.
    """

    def __init__(self) -> None:
        self._members: dict[str, M] = {}
        self._pickable = 0

    @property
    def available_count(self) -> int:
        return self._pickable

    def replace(self, members: Sequence[M]) -> Iterator[None]:
        wanted = {member.key: member for member in members}
        yield
        for count, member in enumerate(list(self._members.values())):
            if wanted.get(member.key) is not member:
                del self._members[member.key]
                self._take_out(member)
            if count % STEP == STEP - 1:
                yield
        for count, member in enumerate(members):
            if member.key not in self._members:
                self._members[member.key] = member
                if member.available and member.weight:
                    self._pickable += 1
                    self._enter(member)
            if count % STEP == STEP - 1:
                yield

    def _take_out(self, member: M) -> None:
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

    @abstractmethod
    def pick(self, key: int) -> M | None: ...

    @abstractmethod
    def _enter(self, member: M) -> None: ...

    @abstractmethod
    def _leave(self, member: M) -> None: ...
