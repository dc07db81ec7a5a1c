"""What crosses the socket between the supervisor and a worker.

One `SOCK_SEQPACKET` packet carries one message, MessagePack-encoded, and `PutListeners`
the listeners' descriptors beside it. A configuration travels as `Begin`, then what
changed in parts small enough to decode without a pause, then `Commit`, which the worker
answers with `Ack` or `Nack` (xDS's delta protocol in miniature).
"""

from __future__ import annotations

import msgspec

from meshproxy.snapshot.model import Cluster, Endpoint, Listener, ProxySettings


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The base of every message."""


# -- supervisor to worker ------------------------------------------------------------


class Begin(Message, frozen=True):
    """A configuration follows. With `reset`, what it does not mention is to go."""

    version: str
    settings: ProxySettings
    reset: bool = False


class PutListeners(Message, frozen=True):
    """New or changed listeners; as many descriptors come with the packet, in this order."""

    listeners: tuple[Listener, ...]


class PutClusters(Message, frozen=True):
    clusters: tuple[Cluster, ...]


class PutEndpoints(Message, frozen=True):
    """New or changed endpoints of a cluster."""

    cluster: str
    endpoints: tuple[Endpoint, ...]


class Remove(Message, frozen=True):
    """Listeners and clusters that are gone, by name."""

    listeners: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()


class RemoveEndpoints(Message, frozen=True):
    cluster: str
    ids: tuple[str, ...]


class Commit(Message, frozen=True):
    version: str


class HealthChanges(Message, frozen=True):
    """Endpoints that may (True) or may not (False) be used now: (cluster, endpoint id, usable)."""

    changes: tuple[tuple[str, str, bool], ...]


class AffinityEntries(Message, frozen=True):
    """Clients that are bound to an endpoint: (cluster, client IP, endpoint id, seconds left)."""

    entries: tuple[tuple[str, str, str, float], ...]


class Drain(Message, frozen=True):
    """Stop accepting, finish what is open for at most `timeout` seconds, then exit."""

    timeout: float


# -- worker to supervisor ------------------------------------------------------------


class Hello(Message, frozen=True):
    pid: int


class Ack(Message, frozen=True):
    version: str


class Nack(Message, frozen=True):
    version: str
    reason: str


class EndpointStats(msgspec.Struct, frozen=True, array_like=True):
    """Cumulative counts of one endpoint since the worker started; `active` is a gauge.

    Bytes are payload: `sent` to the endpoint, `received` from it. For UDP, connections are
    sessions. `connect_failures` includes `connect_timeouts`.
    """

    cluster: str
    endpoint: str
    active: int
    connections: int
    connect_failures: int
    connect_timeouts: int
    sent: int
    received: int


class ListenerStats(msgspec.Struct, frozen=True, array_like=True):
    """Cumulative counts of one listener since the worker started; `active` is a gauge.

    `refused`: no endpoint could be used. `denied`: the source is not allowed. `overflowed`:
    the connection limit and its queue were full. `malformed`: no valid PROXY header. `dropped`:
    datagrams of open sessions that a socket had no room for or that were too large.
    """

    listener: str
    active: int
    accepted: int
    refused: int
    denied: int
    overflowed: int
    malformed: int
    dropped: int = 0


class Stats(Message, frozen=True):
    """What changed since the last report, in parts of bounded size."""

    listeners: tuple[ListenerStats, ...]
    endpoints: tuple[EndpointStats, ...]
    accept_errors: int = 0


class EndpointFailing(Message, frozen=True):
    """`failures` connections to an endpoint failed in a row, as many as its outlier detection allows."""

    cluster: str
    endpoint: str
    failures: int
    reason: str


class AffinityLearned(Message, frozen=True):
    """Clients that this worker bound to an endpoint: entries as in `AffinityEntries`."""

    entries: tuple[tuple[str, str, str, float], ...]


class Drained(Message, frozen=True):
    """Everything is finished; `cut` connections were still open when the time was up."""

    cut: int


ToWorker = (
    Begin
    | PutListeners
    | PutClusters
    | PutEndpoints
    | Remove
    | RemoveEndpoints
    | Commit
    | HealthChanges
    | AffinityEntries
    | Drain
)
ToSupervisor = Hello | Ack | Nack | Stats | EndpointFailing | AffinityLearned | Drained

encode = msgspec.msgpack.Encoder().encode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_to_supervisor = msgspec.msgpack.Decoder(ToSupervisor).decode
