"""The CA's server over real HTTPS: who gets what, who does not, and what is noted of it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from meshproxy.authority.limits import MAX_KNOWN, RateLimits
from meshproxy.authority.server import CAServer
from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.audit import AuditEntry
from meshproxy.identity.ca.certificates import DAY, key_pem, new_key
from meshproxy.identity.ca.requests import make_request
from meshproxy.identity.contexts import load_certificate
from meshproxy.identity.svid import Wanted, make_identity
from meshproxy.snapshot.identity import Identity
from tests.support.authority import MadeCA
from tests.support.certificates import Issued, TestCA, service_account
from tests.support.clock import FakeWallClock

WEB = service_account("web")


@pytest.fixture
def ca(tmp_path: Path) -> MadeCA:
    return MadeCA(tmp_path / "certs", FakeWallClock())


@pytest.fixture
async def server(ca: MadeCA) -> AsyncIterator[CAServer]:
    async with ca.served() as running:
        yield running


class Client:
    """One sidecar: a key, and perhaps a certificate."""

    def __init__(self, ca: MadeCA, server: CAServer) -> None:
        self.ca = ca
        self.server = server
        self.key = new_key()

    async def ask(self, token: str = "", show: Identity | Issued | None = None, **body: Any) -> tuple[int, Any]:
        """(status, answer) to a request for a certificate."""
        body.setdefault("request", make_request(self.key))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.send("POST", "/v1/certificates", show, headers=headers, json=body)

    async def send(self, method: str, path: str, show: Any = None, **arguments: Any) -> tuple[int, Any]:
        context = ssl.create_default_context(cadata=self.ca.roots.read_text())
        if isinstance(show, Identity):
            load_certificate(context, show.certificate_chain, show.private_key)
        elif show is not None:
            load_certificate(context, show.certificate_pem, show.key_pem)
        url = f"https://localhost:{self.server.address.port}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, ssl=context, **arguments) as answer:
            return answer.status, await answer.json()

    def identity(self, answer: Any) -> Identity:
        """What it makes of a certificate."""
        texts = (answer["certificateChain"].encode(), key_pem(self.key), answer["roots"].encode())
        return make_identity(*texts, self.ca.clock(), Wanted("mesh.local", "default", "web"))


@pytest.fixture
def client(ca: MadeCA, server: CAServer) -> Client:
    return Client(ca, server)


async def test_a_token_gets_the_first_certificate_and_that_the_next(ca: MadeCA, client: Client) -> None:
    status, answer = await client.ask(ca.token())
    assert status == 201, answer
    first = client.identity(answer)
    assert first.spiffe_id == WEB
    assert answer["notAfter"] == int(ca.clock() + DAY)
    client.key = new_key()
    status, answer = await client.ask(show=first)
    assert status == 201, answer
    second = client.identity(answer)
    assert second.spiffe_id == WEB
    issued = ca.audited("issued")
    assert [(each.how, each.subject) for each in issued] == [("token", WEB), ("certificate", WEB)]
    assert [each.serial for each in issued] == [first.serial, second.serial]
    assert issued[0].token
    assert issued[0].remote == "127.0.0.1"


async def test_a_stolen_token_is_refused_and_said_loudly(
    ca: MadeCA, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    token = ca.token()
    await client.ask(token)
    assert (await client.ask(token))[0] == 201, "its owner's repetition"
    client.key = new_key()
    status, answer = await client.ask(token)
    assert status == 401
    assert "was used before, with another key" in answer["error"]
    alarms = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "ALARM from 127.0.0.1" in alarms[0].getMessage()
    assert [each.token for each in ca.audited("token_reused")] == [token.partition(".")[0]]


async def test_what_was_revoked_is_not_renewed_and_a_new_token_is_good(ca: MadeCA, client: Client) -> None:
    """A certificate would otherwise be renewed for ever, by whoever has its key."""
    token, unused = ca.token(), ca.token()
    stolen = client.identity((await client.ask(token))[1])
    ca.clock.advance(60)
    ca.store.revoke(NamespacedName("default", "web"), ca.clock())
    for refused in (await client.ask(show=stolen), await client.ask(token), await client.ask(unused)):
        assert refused[0] == 403
        assert "default/web was revoked after the" in refused[1]["error"]
    ca.clock.advance(60)
    status, answer = await client.ask(ca.token())
    assert status == 201, answer
    assert (await client.ask(show=client.identity(answer)))[0] == 201
    assert (await client.ask(ca.token("cart")))[0] == 201


async def test_whose_certificate_it_is_nobody_decides_by_asking(ca: MadeCA, client: Client) -> None:
    """Names in a signing request, or beside it, are nothing."""
    status, answer = await client.ask(ca.token(), subject="spiffe://mesh.local/ns/default/sa/admin")
    assert (status, "unknown field" in answer["error"]) == (400, True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ({}, 401, "show a bootstrap token"),
        ({"token": "nonsense"}, 401, "there is no such token"),
        ({"token": "0123456789abcdef.guess"}, 401, "there is no such token"),
        ({"token": "expired"}, 401, "expired 60 s ago"),
        ({"request": "nonsense"}, 400, "no signing request in PEM"),
        ({"request": "x" * 9000}, 400, "has at most 8192 bytes"),
        ({"request": None}, 400, "the body must be JSON"),
        ({"lifetime": "long"}, 400, "the body must be JSON"),
        ({"request": "x" * 20000}, 413, "Too Large"),
    ],
)
async def test_what_is_refused(ca: MadeCA, client: Client, arguments: dict, status: int, message: str) -> None:
    if arguments.get("token") == "expired":
        arguments = {"token": ca.token(lifetime=60)}
        ca.clock.advance(120)
    found, answer = await client.ask(**arguments)
    assert found == status
    assert message in answer["error"]
    assert ca.audited("issued") == []


async def test_a_request_whose_signature_is_wrong(ca: MadeCA, client: Client) -> None:
    request = make_request(client.key)
    lines = request.splitlines()
    lines[-2] = "A" * len(lines[-2].rstrip("=")) + "=" * lines[-2].count("=")
    status, _ = await client.ask(ca.token(), request="\n".join(lines))
    assert status == 400


async def test_certificates_of_others_open_nothing(ca: MadeCA, client: Client) -> None:
    with pytest.raises(aiohttp.ClientError):  # the handshake fails: the server does not know that CA
        await client.ask(show=TestCA().issue(WEB))


async def test_a_servers_certificate_of_ours_is_nobodys(ca: MadeCA, client: Client) -> None:
    key = new_key()
    issued = ca.issuer.for_hosts(("a.example",), key.public_key(), DAY, AuditEntry(event="issued", how="test"))
    shown = Identity(
        spiffe_id="", trust_domain="", certificate_chain=issued.chain, private_key=key_pem(key).decode(),
        trust_bundle="", not_before=0, not_after=0, serial="", issuer="",
    )  # fmt: skip
    with pytest.raises(aiohttp.ClientError):  # it lacks clientAuth, which OpenSSL asks for
        await client.ask(show=shown)


async def test_an_expired_certificate_does_not_renew_itself(ca: MadeCA, client: Client) -> None:
    """OpenSSL, which has the real clock, sees to it in the handshake."""
    ca.clock.advance(-DAY - 60)
    _, answer = await client.ask(ca.token())
    identity = client.identity(answer)
    ca.clock.advance(DAY + 60)
    with pytest.raises(aiohttp.ClientError):
        await client.ask(show=identity)


@pytest.mark.parametrize(("asked", "given"), [(None, DAY), (3600, 3600), (1, 60), (365 * DAY, 7 * DAY)])
async def test_lifetimes_are_bounded(ca: MadeCA, client: Client, asked: float | None, given: float) -> None:
    _, answer = await client.ask(ca.token(), lifetime=asked)
    assert answer["notAfter"] == int(ca.clock() + given)


async def test_one_account_is_limited_and_others_are_not(ca: MadeCA, client: Client) -> None:
    token = ca.token()
    statuses = [(await client.ask(token))[0] for _ in range(21)]
    assert statuses == [201] * 20 + [429]
    assert (await client.ask(ca.token("cart")))[0] == 201
    ca.clock.advance(60)
    assert (await client.ask(token))[0] == 201


async def test_guessing_is_limited_and_a_good_token_still_works(ca: MadeCA, client: Client) -> None:
    statuses = [(await client.ask("guess"))[0] for _ in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    assert len(ca.audited("refused")) == 20
    assert (await client.ask(ca.token()))[0] == 201


async def test_the_roots_are_told_to_everyone(ca: MadeCA, client: Client) -> None:
    _, answer = await client.send("GET", "/v1/roots")
    assert answer == {"trustDomain": "mesh.local", "roots": ca.roots.read_text()}


async def test_a_rotation_is_taken_up_while_it_serves(ca: MadeCA, client: Client) -> None:
    _, answer = await client.ask(ca.token())
    before = client.identity(answer)
    ca.store.rotate_root(ca.clock())
    _, answer = await client.ask(show=before)
    during = client.identity(answer)
    assert during.trust_bundle.count("BEGIN") == 2
    assert "intermediate 2" in during.issuer
    ca.store.finish_rotation(ca.clock(), force=True)
    _, answer = await client.ask(show=during)
    assert client.identity(answer).trust_bundle.count("BEGIN") == 1
    with pytest.raises(aiohttp.ClientError):  # its root is no longer trusted, from one handshake to the next
        await client.ask(show=before)


async def test_a_damaged_ca_says_so_and_recovers(ca: MadeCA, client: Client) -> None:
    state = (ca.directory / "ca.json").read_bytes()
    (ca.directory / "ca.json").write_text("{")
    status, answer = await client.ask(ca.token())
    assert (status, "its log says why" in answer["error"]) == (503, True)
    (ca.directory / "ca.json").write_bytes(state)
    assert (await client.ask(ca.token()))[0] == 201


async def test_the_servers_own_certificate_is_renewed(ca: MadeCA) -> None:
    async def shown(server: CAServer) -> bytes | None:
        context = ssl.create_default_context(cadata=ca.roots.read_text())
        _, writer = await asyncio.open_connection("localhost", server.address.port, ssl=context)
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return certificate

    ca.clock.advance(-DAY / 2)
    async with ca.served() as server:
        first = await shown(server)
        assert await shown(server) == first
        ca.clock.advance(DAY / 2)
        assert await shown(server) != first


async def test_what_is_not_tls_is_no_harm(ca: MadeCA, client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.address.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert b"HTTP/1.1 200" not in await reader.read()
    writer.close()
    assert (await client.send("GET", "/v1/roots"))[0] == 200


async def test_the_cas_own_expiry_is_said_two_weeks_before(
    ca: MadeCA, server: CAServer, caplog: pytest.LogCaptureFixture
) -> None:
    ca.clock.now = ca.store.signing().issuer.certificate.not_valid_after_utc.timestamp() - 15 * DAY
    server.warn_of_expiry()
    assert caplog.text == ""
    ca.clock.advance(2 * DAY)
    server.warn_of_expiry()
    assert "intermediate-1 of the CA: ExpiresSoon, 13.0 days left" in caplog.text


def test_limits_forget_who_came_longest_ago() -> None:
    limits = RateLimits(per_minute=1, burst=1)
    for number in range(MAX_KNOWN + 1):
        assert limits.take(str(number), 0) == 0
    assert limits.take("0", 0) == 0, "forgotten"
    assert limits.take(str(MAX_KNOWN), 0) > 0
