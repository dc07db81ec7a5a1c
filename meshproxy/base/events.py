"""Things that happened, worth telling a person (Kubernetes `core/v1.Event` in small)."""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec


class EventType(enum.StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` is one CamelCase word (``EndpointUnhealthy``), `subject` a resource (``Service/backend``,
    ``Service/team-a/backend``, ``Worker/0``), `message` a sentence: ``endpoint backend-1 (127.0.1.1:8080)
    became unhealthy: connect refused``.
    """

    type: EventType
    reason: str
    subject: str
    message: str


EventSink = Callable[[Event], None]
