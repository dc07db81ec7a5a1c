"""The engine's stream of events: JSON objects, one a line, for as long as the connection lasts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from meshproxy.registry.docker.containers import Health, readable

MAX_LINE = 4 * 1024 * 1024
"""Bytes of one event, which holds all labels of its container. A longer one is passed over and the list read anew."""

STOPPING_SIGNALS = frozenset({2, 3, 6, 9, 15, 28, 37})
"""INT, QUIT, ABRT, KILL, TERM; WINCH (httpd's graceful stop), RTMIN+3 (systemd). HUP, USR1, USR2 mostly reload."""
UNNAMED_SIGNAL = 15

CONTAINER_ACTIONS = (
    "create",
    "start",
    "restart",
    "kill",
    "die",
    "stop",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "update",
    "oom",
    "health_status",
)
NETWORK_ACTIONS = ("connect", "disconnect")
_STATES = {"pause": "paused", "unpause": "running"}
_HEALTHS = {"healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY, "starting": Health.STARTING}


class DockerEvent(NamedTuple):
    """Something happened to container `id`; `is_lost` where it cannot be said what."""

    id: str
    action: str
    signal: int = 0
    nanoseconds: int = 0
    is_lost: bool = False
    health: Health | None = None

    @property
    def begins_to_stop(self) -> bool:
        """A signal was sent that ends programs; the process still runs."""
        return self.action == "kill" and self.signal in STOPPING_SIGNALS

    @property
    def has_ended(self) -> bool:
        return self.action in ("die", "destroy")

    @property
    def changes(self) -> dict[str, str]:
        """The fields of its container that it says; empty where it says none, and the container has to be looked at."""
        if self.health is not None:
            return {"health": self.health}
        state = _STATES.get(self.action)
        return {} if state is None else {"state": state}

    @property
    def has_begun(self) -> bool:
        return self.action in ("start", "restart")


LOST = DockerEvent(id="", action="", is_lost=True)


class _Actor(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(default="", name="ID")
    attributes: dict[str, str] | None = None


class _Message(msgspec.Struct, rename="pascal"):
    type: str = ""
    action: str = ""
    actor: _Actor = msgspec.field(default_factory=_Actor)
    time_nano: int = msgspec.field(default=0, name="timeNano")


class EventDecoder:
    """Bytes in, events out. Lines that are no events give `LOST`: the list says what they would have."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[DockerEvent]:
        """The events that `data` completes."""
        self._pending += data
        *lines, rest = self._pending.split(b"\n")
        self._pending = rest
        for line in lines:
            skipped, self._skipping = self._skipping, False
            if not skipped and line.strip():
                event = _decode(bytes(line))
                if event is not None:
                    yield event
        if len(self._pending) > MAX_LINE:
            self._pending.clear()
            if not self._skipping:
                self._skipping = True
                yield LOST


def _decode(line: bytes) -> DockerEvent | None:
    """None for what does not concern us."""
    try:
        message = msgspec.json.decode(readable(line), type=_Message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return LOST
    attributes = message.actor.attributes or {}
    action, _, rest = message.action.partition(":")
    if message.type == "network" and action in NETWORK_ACTIONS:
        return DockerEvent(attributes.get("container", ""), action, nanoseconds=message.time_nano)
    if message.type == "container" and action in CONTAINER_ACTIONS:
        signal = _signal(attributes.get("signal", ""))
        health = _HEALTHS.get(rest.strip()) if action == "health_status" else None
        return DockerEvent(message.actor.id, action, signal, message.time_nano, health=health)
    return None


def _signal(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else UNNAMED_SIGNAL
