"""Registries that come and go, fail and are doubted, between a control plane and a state directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from meshproxy.base.events import Event
from meshproxy.controlplane.intake import Intake
from meshproxy.controlplane.saved_sources import SavedSources
from meshproxy.registry.memory import MemorySource
from meshproxy.resources import ObjectMeta, ServiceIntentions, Workload
from meshproxy.resources.intentions import ConsulIntentions, IntentionAction, ServiceIntentionsSpec
from meshproxy.resources.meta import Resource
from meshproxy.resources.sources import SourceSpec
from meshproxy.resources.update import SourceUpdate
from tests.support.loading import load_text

DEADLINE = 10
PROXY = "apiVersion: meshproxy.dev/v1\nkind: Proxy\nmetadata: {name: p}\nspec: {sources: SOURCES}\n"


def proxy(sources: str) -> Resource:
    loaded = load_text(PROXY.replace("SOURCES", sources))
    assert loaded.findings == ()
    return loaded.resources[0]


def workload(name: str) -> Workload:
    text = f"apiVersion: meshproxy.dev/v1\nkind: Workload\nmetadata: {{name: {name}}}\nspec: {{address: 10.0.0.1}}\n"
    resource = load_text(text).resources[0]
    assert isinstance(resource, Workload)
    return resource


class FakeRegistry(MemorySource):
    """A memory source that can also be in trouble, or make a mistake."""

    def __init__(self, spec: SourceSpec | ConsulIntentions) -> None:
        super().__init__(spec.called)
        self.spec = spec
        self.emit: Callable[[SourceUpdate], None] = lambda update: None
        self.mistake = False
        self.ended = False

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        self.emit = emit
        if self.mistake:
            raise LookupError("a mistake")
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    def say(self, *names: str) -> None:
        self.emit(SourceUpdate(source=self.name, resources=tuple(map(workload, names))))

    def fail(self, problem: str) -> None:
        self.emit(SourceUpdate(source=self.name, resources=None, problem=problem))


class Registries:
    """Keeps what it makes, by name, the newest."""

    def __init__(self) -> None:
        self.made: dict[str, FakeRegistry] = {}
        self.mistake = False

    def __call__(self, spec: SourceSpec | ConsulIntentions) -> list[FakeRegistry]:
        registry = FakeRegistry(spec)
        registry.mistake = self.mistake
        self.made[spec.called] = registry
        return [registry]


class Plane:
    """An intake, its files and registries."""

    def __init__(self, state: Path, *files: Resource) -> None:
        self.files = MemorySource("files", files)
        self.registries = Registries()
        self.events: list[Event] = []
        self.changes = 0
        self.now = 1000.0
        self.wall = 5000.0
        self.intake = Intake(
            [self.files],
            self.registries,
            SavedSources(state, lambda: self.wall),
            lambda: self.now,
            self.events.append,
            self._updated,
        )
        self.intake.start()

    def _updated(self, update: SourceUpdate, changed: bool) -> None:
        self.changes += changed

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.001)

    async def registry(self, name: str = "consul") -> FakeRegistry:
        await self.until(lambda: name in self.registries.made)
        return self.registries.made[name]

    def names(self, source: str = "consul") -> list[str]:
        return [resource.metadata.name for resource in self.intake.store.resources(source)]

    def sources(self) -> list[str]:
        return [status.name for status in self.intake.store.statuses()]


Make = Callable[..., Plane]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Plane] = []

    def build(*files: Resource) -> Plane:
        made.append(Plane(tmp_path, *files))
        return made[-1]

    yield build
    for plane in made:
        await plane.intake.stop()


async def test_the_files_say_which_registries_run(make: Make) -> None:
    plane = make(proxy("[{consul: {}}]"))
    consul = await plane.registry()
    assert plane.sources() == ["files", "consul"]
    consul.say("a")
    plane.files.set([proxy("[{name: first, consul: {}}, {consul: {}}]")])
    first = await plane.registry("first")
    assert plane.sources() == ["files", "first", "consul"], "in the order of the document"
    assert plane.registries.made["consul"] is consul, "what did not change goes on"
    first.say("b")
    plane.files.set([])
    await plane.until(lambda: plane.sources() == ["files"])
    await plane.until(lambda: consul.ended and first.ended)
    consul.say("late")
    assert plane.sources() == ["files"], "an ended source is not heard any more"


async def test_a_changed_registry_keeps_its_resources_until_it_speaks(make: Make) -> None:
    plane = make(proxy("[{consul: {}}]"))
    before = await plane.registry()
    before.say("a")
    plane.files.set([proxy("[{consul: {datacenter: dc2}}]")])
    await plane.until(lambda: before.ended)
    after = await plane.registry()
    assert isinstance(after.spec, SourceSpec)
    assert after.spec.consul is not None
    assert after.spec.consul.datacenter == "dc2"
    assert plane.names() == ["a"]
    assert plane.intake.store.status("consul").state == "Connecting"
    after.say("b", "a")
    assert plane.names() == ["b", "a"]


async def test_it_waits_for_the_registries_that_files_name(make: Make) -> None:
    plane = make(proxy("[{consul: {}}]"))
    consul = await plane.registry()
    heard = asyncio.get_running_loop().create_task(plane.intake.wait_heard())
    await asyncio.sleep(0)
    assert not heard.done()
    consul.fail("connection refused")
    async with asyncio.timeout(DEADLINE):
        await heard


async def test_trouble_keeps_what_there_was_and_shows_its_age(make: Make) -> None:
    plane = make(proxy("[{consul: {}}]"))
    consul = await plane.registry()
    consul.say("a")
    plane.now += 60
    consul.fail("connection refused")
    plane.now += 30
    consul.fail("connection refused")
    status = plane.intake.store.status("consul")
    assert (status.state, status.errors, status.problem) == ("Failing", 2, "connection refused")
    assert status.stale(plane.now) == 30, "while it was connected, it stood behind what it had said"
    assert plane.names() == ["a"]
    consul.say("a")
    status = plane.intake.store.status("consul")
    assert (status.state, status.stale(plane.now)) == ("Connected", None)
    assert [event.reason for event in plane.events] == ["SourceFailing", "SourceRecovered"], "each told once"


async def test_a_restart_uses_what_was_said_before(make: Make) -> None:
    plane = make(proxy("[{consul: {}}]"))
    (await plane.registry()).say("a", "b")
    await plane.intake.stop()
    plane = make(proxy("[{consul: {}}]"))
    plane.wall += 40
    consul = await plane.registry()
    assert plane.names() == ["a", "b"]
    consul.fail("connection refused")
    assert plane.intake.store.status("consul").stale(plane.now) == 40
    consul.say()
    assert plane.names() == ["a", "b"], "a registry that comes back empty is doubted, too"


async def test_what_was_said_a_moment_before_the_registry_went_is_kept(make: Make) -> None:
    plane = make(proxy("[{consul: {}}]"))
    consul = await plane.registry()
    consul.say("a")
    consul.fail("connection refused")
    await plane.intake.stop()
    plane = make(proxy("[{consul: {}}]"))
    await plane.registry()
    assert plane.names() == ["a"]


async def test_what_another_registry_said_is_not_used(make: Make) -> None:
    plane = make(proxy("[{consul: {}}]"))
    (await plane.registry()).say("a")
    await plane.intake.stop()
    plane = make(proxy('[{consul: {address: "http://10.0.0.1:8500"}}]'))
    await plane.registry()
    assert plane.names() == []


async def test_a_damaged_saved_file_is_not_used(make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plane = make(proxy("[{consul: {}}]"))
    (await plane.registry()).say("a")
    await plane.intake.stop()
    path = tmp_path / "sources" / "consul"
    path.write_bytes(path.read_bytes()[:-1])
    plane = make(proxy("[{consul: {}}]"))
    await plane.registry()
    assert plane.names() == []
    assert "is damaged" in caplog.text


async def test_everything_gone_is_believed_after_a_while(make: Make) -> None:
    plane = make(proxy("[{consul: {}, emptyConfirmation: 50ms}]"))
    consul = await plane.registry()
    consul.say("a")
    consul.say()
    assert plane.names() == ["a"]
    assert plane.intake.store.status("consul").held == 1
    assert plane.events[-1].reason == "RemovalHeld"
    plane.now += 0.05
    changes = plane.changes
    await plane.until(lambda: not plane.names())
    assert plane.changes == changes + 1
    assert plane.intake.store.status("consul").held == 0


async def test_nothing_is_believed_gone_while_the_registry_fails(make: Make) -> None:
    plane = make(proxy("[{consul: {}, emptyConfirmation: 20ms}]"))
    consul = await plane.registry()
    consul.say("a")
    consul.say()
    consul.fail("connection refused")
    for _ in range(3):
        plane.now += 1
        await asyncio.sleep(0.03)
        assert plane.names() == ["a"]
    consul.say()
    plane.now += 1
    await plane.until(lambda: not plane.names())


async def test_a_sources_own_mistake_ends_nothing_else(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    plane = make()
    plane.registries.mistake = True
    plane.files.set([proxy("[{consul: {}}]")])
    await plane.registry()
    await plane.until(lambda: plane.intake.store.status("consul").heard)
    assert "a mistake" in plane.intake.store.status("consul").problem
    assert "is run again" in caplog.text


MESH = """\
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {name: p}
spec:
  identity: {serviceAccount: web, consul: {intentions: true}}
  inbound: {services: [{name: web, port: 80}, {name: admin, port: 81}]}
"""


async def test_intentions_are_read_for_services_here_and_outlive_a_restart(make: Make) -> None:
    document = load_text(MESH).resources[0]
    plane = make(document)
    registry = await plane.registry("consul/intentions")
    assert isinstance(registry.spec, ConsulIntentions)
    assert registry.spec.destinations == ("web", "admin")
    spec = ServiceIntentionsSpec(destination="web", default=IntentionAction.DENY)
    known = ServiceIntentions(
        api_version="meshproxy.dev/v1", kind="ServiceIntentions", metadata=ObjectMeta(name="web"), spec=spec
    )
    registry.emit(SourceUpdate(source=registry.name, resources=(known,)))
    await plane.intake.stop()
    plane = make(document)
    await plane.registry("consul/intentions")
    assert plane.intake.store.resources("consul/intentions") == (known,)
    plane.files.set([load_text(MESH.replace("intentions: true", "intentions: false")).resources[0]])
    await plane.until(lambda: plane.sources() == ["files"])
