"""Intentions as a source: from a real agent, and from one that answers as a real one would not."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from meshproxy.registry.consul import watch
from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.intentions import AUTHORIZE, LIST, MATCH, IntentionsSource
from meshproxy.resources import ServiceIntentions
from meshproxy.resources.intentions import ConsulIntentions
from meshproxy.resources.sources import ConsulSource
from meshproxy.resources.update import SourceUpdate
from tests.support.consul import ConsulServer
from tests.support.fake_consul import FakeConsul, Reply
from tests.support.intentions import entry, permission
from tests.support.sources import Heard
from tests.unit.registry.consul.conftest import MASTER, Listen

FollowIntentions = Callable[..., Heard]


@pytest.fixture
def follow_intentions(listen: Listen) -> FollowIntentions:
    def start(address: str, *destinations: str, token: str = "") -> Heard:
        spec = ConsulIntentions(address=address, destinations=destinations or ("web",))
        agent = ConsulAgent(ConsulSource(address=address), token)
        return listen(IntentionsSource(spec, 60.0, agent, random.Random(1).random))

    return start


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeConsul]:
    monkeypatch.setattr(watch, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(watch, "LAST_RETRY", 0.05)
    async with FakeConsul().running() as server:
        server.answer = says()
        yield server


def says(*entries: dict[str, Any], default: bool = True) -> Callable[[str], Reply]:
    """An agent with these intentions."""

    def answer(path: str) -> Reply:
        if path.startswith(AUTHORIZE):
            return Reply(json.dumps({"Authorized": default, "Reason": "because"}).encode(), at=None)
        if path.startswith(MATCH):
            return Reply(json.dumps({"web": entries or None}).encode(), at=None)
        return Reply(b"[]")

    return answer


def said(update: SourceUpdate) -> dict[str, list[str]]:
    """Of each destination the default, and the intentions in their order."""
    found = [each for each in update.resources or () if isinstance(each, ServiceIntentions)]
    return {
        each.spec.destination: [
            each.spec.default.value,
            *(f"{intention.label.partition('/')[2]} {intention.action.value}" for intention in each.spec.intentions),
        ]
        for each in found
    }


# -- a real agent ------------------------------------------------------------------------


def intend(consul: ConsulServer, source: str, destination: str, action: str) -> str:
    body = {"SourceName": source, "DestinationName": destination, "SourceType": "consul", "Action": action}
    status, answer = consul.request("POST", "/v1/connect/intentions", body, MASTER)
    assert status == 200, answer
    name: str = json.loads(answer)["ID"]
    return name


async def test_an_agents_intentions_are_followed(consul: ConsulServer, follow_intentions: FollowIntentions) -> None:
    heard = follow_intentions(consul.address, "web", "admin")
    await heard.until(lambda update: said(update) == {"web": ["allow"], "admin": ["allow"]})
    one = intend(consul, "cart", "web", "deny")
    await heard.until(lambda update: said(update) == {"web": ["allow", "cart => web deny"], "admin": ["allow"]})
    all_of_them = intend(consul, "*", "*", "allow")
    expected = {"web": ["deny", "cart => web deny", "* => * allow"], "admin": ["deny", "* => * allow"]}
    await heard.until(lambda update: said(update) == expected)
    for each in (one, all_of_them):
        assert consul.request("DELETE", f"/v1/connect/intentions/{each}")[0] == 200
    await heard.until(lambda update: said(update) == {"web": ["allow"], "admin": ["allow"]})


async def test_the_default_is_that_of_acls(acl_server: ConsulServer, follow_intentions: FollowIntentions) -> None:
    refused = follow_intentions(acl_server.address)
    update = await refused.until(lambda update: update.problem)
    assert "tokenFile must hold a token with the rights for this" in update.problem
    assert update.resources is None
    rules = 'service "web" { policy = "write" }'
    policy = acl_server.put("/v1/acl/policy", {"Name": "web", "Rules": rules})
    token = acl_server.put("/v1/acl/token", {"Policies": [{"ID": policy["ID"]}]})["SecretID"]
    heard = follow_intentions(acl_server.address, token=token)
    await heard.until(lambda update: said(update) == {"web": ["deny"]})
    intend(acl_server, "cart", "web", "allow")
    await heard.until(lambda update: said(update) == {"web": ["deny", "cart => web allow"]})


# -- one that is none --------------------------------------------------------------------


async def test_permissions_of_later_versions(fake: FakeConsul, follow_intentions: FollowIntentions) -> None:
    fake.answer = says(entry("cart", Permissions=[permission("allow", PathPrefix="/a")]), default=False)
    update = await follow_intentions(fake.address).until(lambda update: update.resources)
    assert update.resources is not None
    (document,) = update.resources
    assert isinstance(document, ServiceIntentions)
    (intention,) = document.spec.intentions
    assert [each.path_prefix for each in intention.permissions] == ["/a"]


async def test_where_an_intention_is_about_all_the_default_is_not_known(
    fake: FakeConsul, follow_intentions: FollowIntentions
) -> None:
    fake.answer = says(entry("*", "allow", "*"))
    await follow_intentions(fake.address).until(lambda update: said(update) == {"web": ["deny", "* => * allow"]})
    assert not any(path.startswith(AUTHORIZE) for path in fake.requests)


BROKEN = {
    "500": Reply(b"No cluster leader", 500),
    "another shape": Reply(b'{"web": [{"Source": 3}]}'),
    "another kind": Reply(b"3"),
    "no JSON": Reply(b"<html>"),
}


@pytest.mark.parametrize("question", [MATCH, AUTHORIZE, LIST])
@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
async def test_a_fault_keeps_what_there_was_and_is_got_over(
    fake: FakeConsul, follow_intentions: FollowIntentions, reply: Reply, question: str
) -> None:
    fake.answer = well = says(entry("cart", "deny"))
    heard = follow_intentions(fake.address)
    known = {"web": ["allow", "cart => web deny"]}
    await heard.until(lambda update: said(update) == known)
    fake.now(lambda path: reply if path.startswith(question) else well(path))
    update = await heard.until(lambda update: update.problem)
    assert update.resources is None, "which leaves in force what there was"
    fake.now(well)
    await heard.until(lambda update: said(update) == known)


async def test_a_default_that_is_not_told_is_none(fake: FakeConsul, follow_intentions: FollowIntentions) -> None:
    """Intentions without it could open what it closes."""
    well = says()
    fake.answer = lambda path: Reply(b"Permission denied", 403) if path.startswith(AUTHORIZE) else well(path)
    update = await follow_intentions(fake.address).until(lambda update: update.problem)
    assert update.resources is None


async def test_nothing_is_said_before_all_of_it_is_known(fake: FakeConsul, follow_intentions: FollowIntentions) -> None:
    well = says()
    fake.answer = lambda path: Reply(b"no", 500) if "name=admin" in path else well(path)
    heard = follow_intentions(fake.address, "web", "admin")
    update = await heard.until(lambda update: update.problem)
    assert update.resources is None
    fake.now(well)
    await heard.until(lambda update: said(update) == {"web": ["allow"], "admin": ["allow"]})


async def test_refresh_says_it_again(fake: FakeConsul, follow_intentions: FollowIntentions) -> None:
    heard = follow_intentions(fake.address)
    heard.source.refresh()
    await heard.until(lambda update: update.resources)
    heard.source.refresh()
    assert len(heard.updates) == 2
    assert heard.updates[0] == heard.updates[1]


async def test_what_cannot_be_judged_is_a_warning_of_the_source(
    fake: FakeConsul, follow_intentions: FollowIntentions
) -> None:
    fake.answer = says(entry("cart", "allow", JWT={"Providers": []}))
    update = await follow_intentions(fake.address).until(lambda update: update.findings)
    assert said(update) == {"web": ["allow", "cart => web deny"]}
    assert not update.problem
