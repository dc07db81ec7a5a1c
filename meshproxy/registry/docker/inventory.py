"""The containers that are known, and of which of them more has to be asked. Pure: it is told `now`.

An event says at once what it says, and that its container has to be looked at again a moment later: the list
is the truth, but it follows the events (dockerd tells of ``pause`` before its list shows it).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from meshproxy.registry.docker.containers import Container
from meshproxy.registry.docker.events import DockerEvent

SETTLE = 0.3
"""Seconds after an event until the list is believed to show it."""
ENDED_FOR = 10.0
"""Seconds for which a list that shows a container whose end was told is the older word, unless it has begun again."""
STOPPING_FOR = 600.0
"""Seconds after which a container that was sent a signal and still runs is taken for one that handles it otherwise."""


class Inventory:
    """Owns what is known of one engine."""

    def __init__(self) -> None:
        self._containers: dict[str, Container] = {}
        self._stopping: dict[str, float] = {}
        self._ended: set[str] = set()
        self._dead: dict[str, float] = {}
        self._all_unseen = True
        self._unseen: set[str] = set()
        self._settling: dict[str, float] = {}
        self._asked: frozenset[str] = frozenset()
        self._touched: set[str] = set()

    @property
    def containers(self) -> tuple[Container, ...]:
        return tuple(self._containers.values())

    @property
    def stopping(self) -> frozenset[str]:
        """The ids of those that were told to stop and still run."""
        return frozenset(self._stopping)

    def take_ended(self) -> frozenset[str]:
        """The ids that are gone for certain, since the last time: not just from a list, but after an event said why."""
        ended, self._ended = frozenset(self._ended), set()
        return ended

    # -- what to ask ---------------------------------------------------------------------

    def look_again(self) -> None:
        """Everything has to be asked anew."""
        self._all_unseen = True

    def begin_again(self) -> None:
        """Events were missed: everything has to be asked anew, and what is missing then was not seen to end."""
        self._all_unseen = True
        self._unseen.clear()
        self._settling.clear()

    def next_look(self, now: float) -> float | None:
        """Seconds until something has to be asked: 0 for now, None for when something happens."""
        if self._all_unseen or self._unseen:
            return 0.0
        return max(0.0, min(self._settling.values()) - now) if self._settling else None

    def take_unseen(self, at_most: int, now: float) -> frozenset[str] | None:
        """The ids to ask for now, None for all there are; they count as asked from here on."""
        due = {each for each, when in self._settling.items() if when <= now}
        for each in due:
            del self._settling[each]
        self._asked = frozenset(self._unseen | due)
        ids = None if self._all_unseen or len(self._asked) > at_most else self._asked
        self._all_unseen = False
        self._unseen.clear()
        self._touched.clear()
        return ids

    # -- what is answered ----------------------------------------------------------------

    def listed(self, ids: frozenset[str] | None, found: Iterable[Container], now: float) -> None:
        """The answer to a question for `ids`. What something happened to since it was asked is left as it is."""
        answered = {container.id: container for container in found}
        about = set(self._containers) | set(answered) if ids is None else ids
        self._dead = {each: until for each, until in self._dead.items() if until > now}
        for each in about - self._touched - self._dead.keys():
            if each not in answered:
                self._remove(each, certain=each in self._asked or each in self._stopping)
            elif answered[each] != self._containers.get(each):
                self._containers[each] = answered[each]
        self._stopping = {each: until for each, until in self._stopping.items() if until > now}

    def apply(self, event: DockerEvent, now: float) -> bool:
        """Take an event; whether what is known changed by it already."""
        if event.is_lost:
            self.look_again()
        if not event.id:
            return False
        self._touched.add(event.id)
        self._settling[event.id] = now + SETTLE
        known = self._containers.get(event.id)
        if event.has_ended:
            self._dead[event.id] = now + ENDED_FOR
            return self._remove(event.id, certain=True)
        if event.has_begun:
            self._dead.pop(event.id, None)
        if event.begins_to_stop and known is not None:
            already = event.id in self._stopping
            self._stopping.setdefault(event.id, now + STOPPING_FOR)
            return not already
        if known is not None and event.changes:
            self._containers[event.id] = changed = msgspec.structs.replace(known, **event.changes)
            return changed != known
        self._unseen.add(event.id)
        return event.has_begun and self._stopping.pop(event.id, None) is not None

    def _remove(self, each: str, *, certain: bool) -> bool:
        self._stopping.pop(each, None)
        if self._containers.pop(each, None) is None:
            return False
        if certain:
            self._ended.add(each)
        return True
