"""The loop around an engine: how soon changes come, and what it does with an engine in trouble."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshproxy.base.names import NamespacedName
from meshproxy.registry.docker import client
from meshproxy.registry.docker.events import MAX_LINE
from meshproxy.registry.docker.source import DockerContainers
from meshproxy.resources import Workload
from meshproxy.resources.sources import DockerSource, DockerTLS
from meshproxy.resources.update import SourceUpdate
from tests.support.certificates import TestCA
from tests.support.docker import listed, make_container
from tests.support.docker_engine import FakeEngine

WITHIN = 10.0
A, B = make_container("a", "service=web"), make_container("b", "service=web")


class Heard:
    """A running source and what it says."""

    def __init__(self, path: Path, spec: DockerSource | None = None) -> None:
        loop = asyncio.get_running_loop()
        spec = spec or DockerSource(endpoint=f"unix://{path}")
        self.source = DockerContainers("docker", spec, "", lambda: 0.0, loop.time)
        self.updates: list[SourceUpdate] = []
        self._seen = 0
        self._said = asyncio.Condition()
        self._notices: set[asyncio.Task[None]] = set()
        self.task = loop.create_task(self.source.run(self._emit))

    def _emit(self, update: SourceUpdate) -> None:
        self.updates.append(update)
        notice = asyncio.get_running_loop().create_task(self._notify())
        self._notices.add(notice)
        notice.add_done_callback(self._notices.discard)

    async def _notify(self) -> None:
        async with self._said:
            self._said.notify_all()

    async def until(self, condition: Callable[[SourceUpdate], object]) -> SourceUpdate:
        """The first update as wanted since the one that was waited for before."""
        async with asyncio.timeout(WITHIN), self._said:
            await self._said.wait_for(lambda: any(map(condition, self.updates[self._seen :])))
        found = next(number for number in range(self._seen, len(self.updates)) if condition(self.updates[number]))
        self._seen = found + 1
        return self.updates[found]

    async def until_named(self, *names: str) -> SourceUpdate:
        return await self.until(lambda update: sorted(workloads(update)) == sorted(names))

    async def until_problem(self, text: str) -> SourceUpdate:
        return await self.until(lambda update: update.resources is None and text in update.problem)


def workloads(update: SourceUpdate) -> dict[str, Workload]:
    return {each.metadata.name: each for each in update.resources or () if isinstance(each, Workload)}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[FakeEngine]:
    async with FakeEngine(tmp_path / "docker.sock") as made:
        yield made


@pytest.fixture
async def heard(engine: FakeEngine) -> AsyncIterator[Heard]:
    async with following(engine, DockerSource(endpoint=f"unix://{engine.path}")) as made:
        yield made


async def ready(engine: FakeEngine, heard: Heard, *containers: Any) -> None:
    """The source, which follows the engine, knows exactly `containers`."""
    if not any(update.resources is not None for update in heard.updates):
        await heard.until(lambda update: update.resources is not None)
    await engine.set(map(listed, containers))
    await heard.until_named(*(container.name for container in containers))


async def test_a_start_is_one_question_about_one_container_and_one_more_to_be_sure(
    engine: FakeEngine, heard: Heard
) -> None:
    await ready(engine, heard, A)
    await asyncio.sleep(0)
    engine.lists.clear()
    await engine.set(map(listed, (A, B)))
    await heard.until_named("a", "b")
    assert engine.lists[0] == frozenset({B.id})


async def test_a_container_that_is_told_to_stop_is_terminating_before_it_is_gone(
    engine: FakeEngine, heard: Heard
) -> None:
    await ready(engine, heard, A, B)
    await engine.tell("kill", listed(A), signal="15")
    update = await heard.until(lambda update: workloads(update)["a"].spec.terminating)
    assert not workloads(update)["b"].spec.terminating
    await engine.tell("kill", listed(B), signal="1")
    await engine.set([listed(B)])
    gone = await heard.until_named("b")
    assert gone.ended == {NamespacedName("default", "a")}
    assert not workloads(gone)["b"].spec.terminating


async def test_an_answer_that_is_older_than_the_event_is_put_right(engine: FakeEngine, heard: Heard) -> None:
    """A real engine tells of a pause before its list shows it."""
    await ready(engine, heard, A)
    await engine.tell("unpause", listed(A))
    engine.containers[A.id] = listed(A) | {"State": "paused"}
    await engine.tell("update", listed(A))
    await heard.until(lambda update: not workloads(update)["a"].spec.ready)
    await engine.tell("update", listed(A))
    engine.containers[A.id] = listed(A)
    await heard.until(lambda update: workloads(update)["a"].spec.ready)


async def test_a_thousand_events_are_few_lists(engine: FakeEngine, heard: Heard) -> None:
    await ready(engine, heard, A)
    engine.lists.clear()
    many = [make_container(f"c{number}") for number in range(1000)]
    await engine.set(map(listed, many))
    await heard.until(lambda update: len(workloads(update)) == 1000)
    assert len(engine.lists) < 50


async def test_an_engine_by_tcp_is_the_host_of_containers_in_its_network(engine: FakeEngine) -> None:
    await engine.start_tcp()
    engine.containers = {A.id: listed(make_container("a", "service=web", id=A.id, network_mode="host"))}
    async with following(engine, DockerSource(endpoint=f"tcp://localhost:{engine.port}")) as heard:
        update = await heard.until_named("a")
    assert workloads(update)["a"].spec.address == "localhost", "a host name, which is resolved later"


async def test_an_engine_by_tls_that_wants_a_certificate(engine: FakeEngine, tmp_path: Path) -> None:
    ca = TestCA()
    (tmp_path / "ca.pem").write_text(ca.bundle)
    certificate, key = ca.issue(dns=["127.0.0.1"]).write(tmp_path, "engine")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    await engine.start_tcp(context)
    engine.containers = {A.id: listed(A)}
    files = {"ca_file": str(tmp_path / "ca.pem"), "cert_file": str(certificate), "key_file": str(key)}
    endpoint = f"tcp://127.0.0.1:{engine.port}"
    async with following(engine, DockerSource(endpoint=endpoint, tls=DockerTLS(**files))) as heard:
        await heard.until_named("a")
    async with following(engine, DockerSource(endpoint=endpoint, tls=DockerTLS())) as heard:
        await heard.until_problem("certificate verify failed")
    missing = DockerTLS(ca_file=str(tmp_path / "none.pem"))
    async with following(engine, DockerSource(endpoint=endpoint, tls=missing)) as heard:
        await heard.until_problem("TLS to the Docker engine: ")


@asynccontextmanager
async def following(engine: FakeEngine, spec: DockerSource) -> AsyncIterator[Heard]:
    """A source of its own settings."""
    made = Heard(engine.path, spec)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


# -- trouble ----------------------------------------------------------------------------


async def test_an_engine_that_restarts_is_followed_again(engine: FakeEngine, heard: Heard) -> None:
    await ready(engine, heard, A)
    await engine.stop()
    await heard.until_problem("there is no such socket")
    engine.containers = {B.id: listed(B)}
    await engine.start()
    update = await heard.until_named("b")
    assert update.ended == frozenset(), "nobody saw it end"


async def test_a_stream_that_ends_is_opened_again(engine: FakeEngine, heard: Heard) -> None:
    await ready(engine, heard, A)
    engine.hang_up()
    await heard.until_problem("Docker engine")
    await heard.until_named("a")
    await ready(engine, heard, A, B)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("500", 'answers /containers/json with 500: \'{"message": "no"}\''),
        ("403", "a socket proxy must allow GET /containers/json and GET /events"),
        ("429", "answers /containers/json with 429"),
        ("truncated", "the list of containers cannot be read"),
        ("garbage", "the list of containers cannot be read"),
    ],
)
async def test_lists_that_are_none_leave_what_was_known(
    engine: FakeEngine, heard: Heard, fault: str, problem: str
) -> None:
    await ready(engine, heard, A)
    engine.fault = fault
    heard.source.refresh()
    await heard.until_problem(problem)
    engine.fault = ""
    await heard.until_named("a")


async def test_an_engine_that_does_not_answer(
    engine: FakeEngine, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(engine, heard, A)
    monkeypatch.setattr(client, "LIST_TIMEOUT", 0.05)
    engine.fault = "hangs"
    heard.source.refresh()
    await heard.until_problem("does not answer in time")
    engine.fault = ""
    await heard.until_named("a")


async def test_events_that_are_none_mean_looking_again(engine: FakeEngine, heard: Heard) -> None:
    await ready(engine, heard, A)
    engine.containers[B.id] = listed(B)
    await engine.send(b"\xff nonsense\n")
    await heard.until_named("a", "b")
    del engine.containers[A.id]
    await engine.send(b"x" * (MAX_LINE + 1))
    await heard.until_named("b")


async def test_a_container_that_cannot_be_read_is_left_out_and_named(engine: FakeEngine, heard: Heard) -> None:
    await ready(engine, heard, A)
    engine.containers["z"] = {"Id": "z", "Labels": {"a": 3}}
    heard.source.refresh()
    update = await heard.until(lambda update: update.findings)
    assert "container 1 of the list cannot be read and is left out" in str(update.findings[0])
    assert sorted(workloads(update)) == ["a"]


async def test_a_socket_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    heard = Heard(tmp_path / "nothing.sock")
    try:
        update = await heard.until_problem("there is no such socket")
        assert str(tmp_path / "nothing.sock") in update.problem
    finally:
        heard.task.cancel()
        await asyncio.gather(heard.task, return_exceptions=True)
