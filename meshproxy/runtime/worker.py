"""A worker process: the data plane and nothing else.

Started by the supervisor as ``python -m meshproxy.runtime.worker FD FORMAT LEVEL``, where FD
is its end of the control channel. It lives as long as that channel: when the supervisor is
gone it finishes what is open and exits, so that its ports are free for a new one.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from meshproxy.base.errors import SnapshotRejected
from meshproxy.dataplane.descriptors import RESERVE, DescriptorBudget
from meshproxy.dataplane.engine import DataPlane
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.staging import Staged
from meshproxy.runtime.channel import Channel
from meshproxy.snapshot.messages import (
    Ack,
    AffinityEntries,
    Begin,
    Commit,
    Drain,
    Drained,
    HealthChanges,
    Hello,
    KeepMaterials,
    Message,
    Nack,
    PutMaterials,
    ToWorker,
    decode_to_worker,
    encode,
)
from meshproxy.snapshot.model import ProxySettings
from meshproxy.telemetry.logs import configure_logging

REPORT_INTERVAL = 1.0
"""Seconds between reports of statistics."""
ACCESS_INTERVAL = 0.1
"""Seconds between reports of finished requests."""
AFFINITY_INTERVAL = 0.1
"""Seconds between reports of newly bound clients."""
STEP_PAUSE = 0.001
"""Seconds between the steps of applying a configuration, each some 0.3 ms long: no request waits longer than that."""
DRAIN_POLL = 0.05
"""Seconds between looks at whether draining is done."""
COLLECT_INTERVAL = 600.0
"""Seconds that go by between two looks at what was frozen."""
BUFFER_SIZE = ProxySettings().buffer_size

_log = logging.getLogger(__name__)


class Worker:
    """Applies what arrives on the channel, one message after the other, and reports."""

    def __init__(self, loop: asyncio.AbstractEventLoop, control: socket.socket) -> None:
        self._loop = loop
        self._inbox: deque[tuple[ToWorker, list[socket.socket]]] = deque()
        self._staged: Staged | None = None
        self._applying: Iterator[None] | None = None
        self._drain_until: float | None = None
        self._collect_at = loop.time() + COLLECT_INTERVAL
        self._drain_timeout = ProxySettings().drain_timeout
        # uvloop's own clock is this one in whole milliseconds, which is no measure for a request.
        clock = time.monotonic  # noqa: TID251
        self._reactor = Reactor(loop, BUFFER_SIZE, DescriptorBudget(_descriptor_limit()), clock)
        self._data_plane = DataPlane(self._reactor, Random(), self._send, _wall_clock())
        self._channel = Channel(loop, control, self._received, self._supervisor_gone)
        self._send(Hello(os.getpid()))
        self._report()
        self._report_affinity()
        self._report_access()

    # -- messages ------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        self._channel.send(encode(message))

    def _received(self, packet: memoryview, sockets: list[socket.socket]) -> None:
        self._inbox.append((decode_to_worker(packet), sockets))
        if self._applying is None:
            self._work_off()

    def _work_off(self) -> None:
        """Handle what waits, until a commit has to be applied in steps."""
        while self._inbox and self._applying is None:
            self._handle(*self._inbox.popleft())

    def _handle(self, message: ToWorker, sockets: list[socket.socket]) -> None:
        match message:
            case Begin():
                self._staged = Staged(message)
            case Commit():
                self._commit()
            case HealthChanges():
                self._data_plane.change_health(message)
            case AffinityEntries():
                self._data_plane.learn_affinity(message)
            case PutMaterials(materials):
                self._data_plane.put_materials(materials)
            case KeepMaterials(names):
                self._data_plane.tls.contexts.keep_only(frozenset(names))
            case Drain(timeout):
                self._drain(timeout)
            case _:
                self._stage(message, sockets)

    def _stage(self, message: object, sockets: list[socket.socket]) -> None:
        if self._staged is None:
            for each in sockets:
                each.close()
            return
        try:
            self._staged.add(message, sockets)  # type: ignore[arg-type]
        except SnapshotRejected as rejected:
            self._reject(rejected)

    # -- configuration -------------------------------------------------------------------

    def _commit(self) -> None:
        staged = self._staged
        if staged is None:
            return  # rejected already
        try:
            plane = self._data_plane
            staged.check(plane.cluster_names(), plane.route_table_names(), plane.authorizers.names())
        except SnapshotRejected as rejected:
            self._reject(rejected)
            return
        self._applying = self._data_plane.apply(staged)
        self._apply_step()

    def _apply_step(self) -> None:
        """One step of applying; between steps the loop serves traffic, most of the time."""
        staged, applying = self._staged, self._applying
        assert staged is not None
        assert applying is not None
        try:
            next(applying)
        except StopIteration:
            self._applied(staged)
        except Exception as error:  # noqa: BLE001 a snapshot must not take the worker down: it is refused by name
            _log.exception("applying snapshot %s failed", staged.begin.version)
            self._applying = None
            self._reject(SnapshotRejected(staged.begin.version, [f"{type(error).__name__}: {error}"]))
            self._work_off()
        else:
            self._loop.call_later(STEP_PAUSE, self._apply_step)

    def _applied(self, staged: Staged) -> None:
        self._applying = self._staged = None
        self._freeze()
        self._drain_timeout = staged.begin.settings.drain_timeout
        self._send(Ack(staged.begin.version))
        self._work_off()

    def _freeze(self) -> None:
        """What a configuration made stays until the next one: the collector shall not look at it again and again.

        What was frozen and is gone is no garbage to it, either, where it refers to itself, as clusters do: so
        everything is looked at now and then, which takes some 30 ms with 10,000 endpoints.
        """
        now = self._loop.time()
        if now >= self._collect_at:
            self._collect_at = now + COLLECT_INTERVAL
            gc.unfreeze()
            gc.collect()
        gc.freeze()

    def _reject(self, rejected: SnapshotRejected) -> None:
        if self._staged is not None:
            self._staged.discard()
            self._staged = None
        self._send(Nack(rejected.version, "; ".join(rejected.reasons)))

    # -- reports -------------------------------------------------------------------------

    def _report(self) -> None:
        self._send_statistics()
        self._loop.call_later(REPORT_INTERVAL, self._report)

    def _send_statistics(self) -> None:
        for requests in self._data_plane.take_request_statistics():
            self._send(requests)
        for statistics in self._data_plane.take_statistics():
            self._send(statistics)
        for handshakes in self._data_plane.take_handshake_statistics():
            self._send(handshakes)
        for durations in self._data_plane.take_durations():
            self._send(durations)

    def _report_access(self) -> None:
        self._send_records()
        self._loop.call_later(ACCESS_INTERVAL, self._report_access)

    def _send_records(self) -> None:
        """Nothing while the supervisor is behind: records wait in the data plane, where their number is bounded."""
        if self._channel.is_behind:
            return
        for records in self._data_plane.take_access_records():
            self._send(records)
        recent = self._data_plane.take_recent_records()
        if recent is not None:
            self._send(recent)
        for traces in self._data_plane.take_traces():
            self._send(traces)

    def _report_affinity(self) -> None:
        learned = self._data_plane.take_affinity()
        if learned is not None:
            self._send(learned)
        self._loop.call_later(AFFINITY_INTERVAL, self._report_affinity)

    # -- the end -------------------------------------------------------------------------

    def _supervisor_gone(self) -> None:
        _log.warning("the supervisor is gone: finishing open connections, then exiting")
        self._drain(self._drain_timeout)

    def _drain(self, timeout: float) -> None:
        deadline = self._loop.time() + timeout
        if self._drain_until is None:
            self._data_plane.stop_accepting(peers_only=True)
            self._drain_until = deadline
            self._drain_step()
        self._drain_until = min(self._drain_until, deadline)

    def _drain_step(self) -> None:
        """Peers first: until their requests are answered, local programs are served as ever. Then the others."""
        assert self._drain_until is not None
        in_time = self._loop.time() < self._drain_until
        if not (self._data_plane.open_connections_of_peers and in_time):
            self._data_plane.stop_accepting()
        if self._data_plane.open_connections and in_time:
            self._loop.call_later(DRAIN_POLL, self._drain_step)
            return
        cut = self._data_plane.abort_connections()
        self._send_statistics()
        self._send_records()
        self._send(Drained(cut))
        self._loop.stop()


def _wall_clock() -> float:
    """Unix time; asked for once, the reactor's clock does the rest."""
    return datetime.now(UTC).timestamp()


def _descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one, as HAProxy and Envoy do; what connections may hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(2, hard - RESERVE)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if os.environ.get("MESHPROXY_EVENT_LOOP") == "asyncio":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def main(control_fd: int, log_format: str, log_level: str) -> None:
    """Serve until told to drain. The supervisor handles the terminal's signals."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configure_logging(log_format, log_level, sys.stderr)
    loop = _new_event_loop()
    asyncio.set_event_loop(loop)
    Worker(loop, socket.socket(fileno=control_fd))
    # What exists now stays for good, and connections free themselves by reference counts: the
    # collector has next to nothing to find, and its pauses would show in the 99th percentile.
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 100)
    loop.run_forever()
    loop.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
