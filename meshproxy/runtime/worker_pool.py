"""The workers together: what each was told, what each answered, what all of them must agree on."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.runtime.affinity_book import AffinityBook
from meshproxy.runtime.listener_sockets import ListenerSockets
from meshproxy.runtime.worker_process import WorkerProcess, WorkerState
from meshproxy.snapshot.delta import material_messages, messages_between
from meshproxy.snapshot.messages import (
    AccessRecord,
    AccessRecords,
    Ack,
    AffinityEntries,
    AffinityLearned,
    Drain,
    Drained,
    EndpointFailing,
    HealthChanges,
    Hello,
    KeepMaterials,
    Nack,
    PutListeners,
    RecentRecords,
    RequestDurations,
    RequestStats,
    Stats,
    TLSStats,
    ToSupervisor,
    TraceRecords,
)
from meshproxy.snapshot.model import EMPTY, Snapshot, open_listeners
from meshproxy.snapshot.tls import TLSMaterial

Report = (
    Stats | RequestStats | TLSStats | RequestDurations | AccessRecords | RecentRecords | TraceRecords | EndpointFailing
)
HEALTH_PART = 1000
"""Changes in one `HealthChanges`, which must fit a socket packet."""

_log = logging.getLogger(__name__)


class PoolListener(Protocol):
    """Who wants to know what the workers say; all calls come from the loop."""

    def worker_joined(self, worker: int) -> None:
        """A worker process is up and knows nothing yet."""
        ...

    def worker_left(self, worker: int) -> None: ...

    def acknowledged(self, worker: int, version: str) -> None: ...

    def rejected(self, worker: int, version: str, reason: str) -> None: ...

    def statistics(self, worker: int, stats: Stats) -> None: ...

    def request_statistics(self, worker: int, stats: RequestStats) -> None: ...

    def handshake_statistics(self, worker: int, stats: TLSStats) -> None: ...

    def duration_statistics(self, worker: int, stats: RequestDurations) -> None: ...

    def requests_finished(self, records: AccessRecords) -> None:
        """Requests to be logged."""
        ...

    def requests_seen(self, records: Sequence[AccessRecord]) -> None:
        """Some requests for people to look at."""
        ...

    def requests_traced(self, records: TraceRecords) -> None:
        """Requests whose spans are to be exported."""
        ...

    def endpoint_failing(self, failing: EndpointFailing) -> None: ...


class WorkerPool:
    """Runs `count` workers, tells them snapshots and health, and relays what they learn."""

    def __init__(
        self,
        count: int,
        sockets: ListenerSockets,
        log_options: tuple[str, str],
        listener: PoolListener,
        materials: Callable[[], Sequence[TLSMaterial]],
        unusable_endpoints: Callable[[], Sequence[tuple[str, str, bool]]],
        on_event: EventSink,
    ) -> None:
        self.workers = tuple(WorkerProcess(index, log_options, self._received, self._exited) for index in range(count))
        self._sockets = sockets
        self._listener = listener
        self._materials = materials
        self._unusable_endpoints = unusable_endpoints
        self._on_event = on_event
        self._deployed: dict[int, Snapshot] = {}
        self._acknowledged: dict[int, str] = {}
        self._affinity = AffinityBook()

    async def run(self) -> None:
        """Keep every worker alive; returns when all have ended after `drain`."""
        async with asyncio.TaskGroup() as group:
            for worker in self.workers:
                group.create_task(worker.run(), name=f"worker {worker.index}")

    # -- to the workers ------------------------------------------------------------------

    def publish(self, index: int, snapshot: Snapshot, *, reset: bool) -> None:
        """Lead worker `index` to `snapshot`, without the listeners that are not bound."""
        worker = self.workers[index]
        target = self._bound_part(snapshot)
        before = EMPTY if reset else self._deployed.get(index, EMPTY)
        if reset:
            for put in material_messages(self._materials()):
                worker.send(put)
        for message in messages_between(before, target, reset=reset):
            worker.send(message, self._descriptors(index, message))
        self._deployed[index] = target
        if reset:
            self._tell_health(worker, self._unusable_endpoints())
            for entries in self._affinity.entries(asyncio.get_running_loop().time()):
                worker.send(AffinityEntries(entries))

    def put_materials(self, materials: Sequence[TLSMaterial]) -> None:
        """Give every worker new or changed keys and certificates."""
        for message in material_messages(materials):
            for index in self._deployed:
                self.workers[index].send(message)

    def keep_materials(self, names: Iterable[str]) -> None:
        """Have every worker forget all others."""
        message = KeepMaterials(tuple(names))
        for index in self._deployed:
            self.workers[index].send(message)

    def change_health(self, changes: Sequence[tuple[str, str, bool]]) -> None:
        """Tell every worker which endpoints may be used."""
        for worker in self.workers:
            if worker.index in self._deployed:
                self._tell_health(worker, changes)

    def drain(self, timeout: float) -> None:
        """Stop accepting everywhere; the workers end when they are done, after `timeout` seconds at the latest."""
        for worker in self.workers:
            worker.send(Drain(timeout))
            worker.stopping()

    def version_of(self, index: int) -> str:
        """What worker `index` last acknowledged; empty before it did."""
        return self._acknowledged.get(index, "")

    def _bound_part(self, snapshot: Snapshot) -> Snapshot:
        bound = tuple(each for each in open_listeners(snapshot) if self._sockets.is_bound(each.name))
        if len(bound) == len(snapshot.listeners):
            return snapshot
        return msgspec.structs.replace(snapshot, listeners=bound)

    def _descriptors(self, index: int, message: object) -> list[int]:
        if not isinstance(message, PutListeners):
            return []
        return [self._sockets.descriptor(listener.name, index) for listener in message.listeners]

    @staticmethod
    def _tell_health(worker: WorkerProcess, changes: Sequence[tuple[str, str, bool]]) -> None:
        for start in range(0, len(changes), HEALTH_PART):
            worker.send(HealthChanges(tuple(changes[start : start + HEALTH_PART])))

    # -- from the workers ----------------------------------------------------------------

    def _received(self, worker: WorkerProcess, message: ToSupervisor) -> None:
        match message:
            case Hello():
                self._listener.worker_joined(worker.index)
            case Ack(version):
                self._acknowledge(worker, version)
            case Nack(version, reason):
                self._listener.rejected(worker.index, version, reason)
            case AffinityLearned(entries):
                self._relay_affinity(worker, entries)
            case Drained(cut):
                _log.info("worker %d is drained; %d connections were cut", worker.index, cut)
            case _:
                self._report(worker, message)

    def _report(self, worker: WorkerProcess, message: Report) -> None:
        match message:
            case Stats():
                self._listener.statistics(worker.index, message)
            case RequestStats():
                self._listener.request_statistics(worker.index, message)
            case TLSStats():
                self._listener.handshake_statistics(worker.index, message)
            case RequestDurations():
                self._listener.duration_statistics(worker.index, message)
            case AccessRecords():
                self._listener.requests_finished(message)
            case RecentRecords(records):
                self._listener.requests_seen(records)
            case TraceRecords():
                self._listener.requests_traced(message)
            case EndpointFailing():
                self._listener.endpoint_failing(message)

    def _acknowledge(self, worker: WorkerProcess, version: str) -> None:
        self._acknowledged[worker.index] = version
        if worker.state is WorkerState.STARTING:
            worker.state = WorkerState.READY
        self._listener.acknowledged(worker.index, version)

    def _relay_affinity(self, learner: WorkerProcess, entries: Sequence[tuple[str, str, str, float]]) -> None:
        self._affinity.learn(entries, asyncio.get_running_loop().time())
        for worker in self._others(learner):
            worker.send(AffinityEntries(tuple(entries)))

    def _others(self, worker: WorkerProcess) -> Iterator[WorkerProcess]:
        return (each for each in self.workers if each is not worker)

    def _exited(self, worker: WorkerProcess, code: int) -> None:
        self._deployed.pop(worker.index, None)
        self._acknowledged.pop(worker.index, None)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        message = f"worker {worker.index} (process {worker.pid}) {how}; it is restarted on the same sockets"
        self._on_event(
            Event(type=EventType.WARNING, reason="WorkerExited", subject=f"Worker/{worker.index}", message=message)
        )
        self._listener.worker_left(worker.index)
