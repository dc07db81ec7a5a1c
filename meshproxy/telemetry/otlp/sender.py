"""Sends one signal to a collector: batches, retries, and a bound on what waits."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

import aiohttp
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from meshproxy.base.backoff import Backoff

MAX_WAITING = 8192
"""Items that wait to be sent (the SDK's queue: 2048 spans); more are dropped, and counted."""
BATCH = 512
"""Items in one request (the SDK's `max_export_batch_size`)."""
INTERVAL = 1.0
"""Seconds that items are collected for, unless there is a batch of them sooner."""
TRIES = 5
"""Tries for a batch; then it is dropped, so that newer ones have their turn."""
MAX_PAUSE = 30.0
"""Seconds between tries, at most."""
REST = 3.0
"""After each batch a pause that is so many times as long as making it took: the supervisor has other things to do, and
data that comes faster is dropped, and counted."""
MAX_ANSWER = 65536
"""Bytes of a collector's answer that are read."""
RETRIED = frozenset({429, 502, 503, 504})
"""Statuses after which to try again (OTLP specification, "Failures"); others say that the batch itself is refused."""

_TROUBLES = (aiohttp.ClientError, TimeoutError, OSError)
"""What the way to a collector may raise."""
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Serializable(Protocol):
    """A protobuf message."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802 protobuf's name


class SenderStatus(NamedTuple):
    """Items since the start; `problem` says why the last try failed, while that is so."""

    sent: int = 0
    dropped: int = 0
    waiting: int = 0
    problem: str = ""


class Collector(NamedTuple):
    """Where to send to; `url` is that of the signal."""

    url: str
    headers: dict[str, str]
    timeout: float


class _Refused(Exception):
    """The collector answered that it does not want this batch, whenever it comes."""


class _Later(Exception):
    """The collector cannot take it now; `pause` is when it wants to be asked again, None where it does not say."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


class Sender(Generic[T]):
    """Owns the items that wait. `encode` makes the request of a batch; `run` sends until it is cancelled."""

    def __init__(
        self,
        signal: str,
        collector: Collector,
        session: aiohttp.ClientSession,
        encode: Callable[[list[T]], Serializable],
        random: Callable[[], float],
        most: int = MAX_WAITING,
        batch: int = BATCH,
    ) -> None:
        self._signal = signal
        self._collector = collector
        self._session = session
        self._encode = encode
        self._most = most
        self._batch = batch
        self._backoff = Backoff(1.0, MAX_PAUSE, random)
        self._items: deque[T] = deque()
        self._full_batch = asyncio.Event()
        self._sent = self._dropped = 0
        self._rest = 0.0
        self._problem = ""

    def put(self, items: Iterable[T], dropped: int = 0) -> None:
        """Send `items` some time; `dropped` more were lost on the way here. Never blocks."""
        self._dropped += dropped
        for item in items:
            if len(self._items) >= self._most:
                self._dropped += 1
            else:
                self._items.append(item)
        if len(self._items) >= self._batch:
            self._full_batch.set()

    def status(self) -> SenderStatus:
        return SenderStatus(self._sent, self._dropped, len(self._items), self._problem)

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._full_batch.wait()
            except TimeoutError:
                pass
            while self._items:
                batch = self._take_batch()
                try:
                    await self._send_batch(batch)
                except asyncio.CancelledError:
                    self._items.extendleft(reversed(batch))  # for `flush`; whether it arrived nobody knows
                    raise
                await asyncio.sleep(self._rest)
            self._full_batch.clear()

    async def flush(self) -> None:
        """Send what waits, each batch once: the process ends."""
        while self._items:
            batch = self._take_batch()
            try:
                self._has_sent(batch, await self._post(await self._encoded(batch)))
            except (_Refused, _Later, *_TROUBLES) as error:
                self._lose(batch, error)

    def _take_batch(self) -> list[T]:
        return [self._items.popleft() for _ in range(min(self._batch, len(self._items)))]

    async def _send_batch(self, batch: list[T]) -> None:
        try:
            body = await self._encoded(batch)
            for _ in range(TRIES - 1):
                try:
                    self._has_sent(batch, await self._post(body))
                    return
                except (_Later, *_TROUBLES) as error:
                    pause = error.pause if isinstance(error, _Later) else None
                    self._note(str(error) or self._no_answer())
                await asyncio.sleep(self._backoff.next_delay() if pause is None else min(pause, MAX_PAUSE))
            self._has_sent(batch, await self._post(body))
        except (_Refused, _Later, *_TROUBLES) as error:
            self._lose(batch, error)

    async def _encoded(self, batch: list[T]) -> bytes:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await asyncio.to_thread(self._body, batch)
        except Exception as error:  # whatever a client sent to bring this about, it costs one batch
            _log.exception("a batch of %s cannot be encoded", self._signal)
            raise _Refused(f"a batch cannot be encoded: {error!r}") from error
        finally:
            self._rest = REST * (loop.time() - began)

    def _body(self, batch: list[T]) -> bytes:
        return gzip.compress(self._encode(batch).SerializeToString(), compresslevel=1)

    async def _post(self, body: bytes) -> ExportTracePartialSuccess:
        """Send it, and return what the collector says of it; raises what it, or the way there, is against."""
        collector = self._collector
        headers = {**collector.headers, "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        timeout = aiohttp.ClientTimeout(total=collector.timeout)
        async with self._session.post(
            collector.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            said = await response.content.read(MAX_ANSWER)
            if response.status < 300:
                return _partial_success(said)
            text = said[:200].decode("utf-8", "replace").strip()
            why = f"{collector.url} answered {response.status} {text!r}"
            if response.status in RETRIED:
                raise _Later(why, _retry_after(response.headers.get("Retry-After")))
            raise _Refused(why)

    def _has_sent(self, batch: list[T], answer: ExportTracePartialSuccess) -> None:
        """The collector took `batch`, or the most of it."""
        rejected = max(0, min(answer.rejected_spans, len(batch)))
        self._sent += len(batch) - rejected
        self._dropped += rejected
        self._backoff.reset()
        said = answer.error_message[:200] or "it does not say why"
        self._note(f"{self._collector.url} rejected {rejected} of {len(batch)}: {said}" if rejected else "")

    def _lose(self, batch: list[T], error: Exception) -> None:
        self._dropped += len(batch)
        self._note(str(error) or self._no_answer())

    def _no_answer(self) -> str:
        return f"no answer within {self._collector.timeout:g} s"

    def _note(self, problem: str) -> None:
        """Keep what is wrong, and say it once; nothing where all is well."""
        if problem and not self._problem:
            _log.warning("%s cannot be sent: %s", self._signal, problem)
        elif self._problem and not problem:
            _log.info("%s are sent again", self._signal)
        self._problem = problem


def _partial_success(answer: bytes) -> ExportTracePartialSuccess:
    """What the collector did not take (OTLP specification, "Partial Success"): it may not be sent again.

    The three signals' messages are alike but for the names.
    """
    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:  # it is some other body
        return ExportTracePartialSuccess()
    return response.partial_success


def _retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After field asks for (RFC 9110 §10.2.3); a date is not worth a clock of its own."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        return None
