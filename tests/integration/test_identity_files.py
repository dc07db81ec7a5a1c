"""A real proxy with an identity in files: shown, renewed, broken and mended while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.integration.conditions import wait_until
from tests.integration.proxy_process import ProxyProcess
from tests.support.certificates import Issued, TestCA, service_account

Text = Callable[[], Awaitable[str]]
WEB = service_account("web")
CA = TestCA(intermediate=True)


def write(directory: Path, issued: Issued) -> dict[str, str]:
    certificate, key = issued.write(directory, "web")
    (directory / "roots.pem").write_text(CA.bundle)
    return {"certificate": str(certificate), "key": str(key), "roots": str(directory / "roots.pem")}


async def test_an_identity_is_shown_renewed_and_kept(proxy: ProxyProcess, tmp_path: Path) -> None:
    files = write(tmp_path, CA.issue(WEB))
    proxy.configure(identity={"trustDomain": "mesh.local", "serviceAccount": "web", "files": files})
    await proxy.start()

    async def shown() -> str:
        return (await proxy.meshproxy("get", "certificates", "-o", "wide"))[1]

    await wait_until(lambda: _contains(shown, WEB), "the identity is shown")
    renewed = CA.issue(WEB)
    write(tmp_path, renewed)
    await wait_until(lambda: _contains(shown, renewed.serial), "the renewed one is")

    (tmp_path / "web.key").write_text("not a key")

    async def status() -> str:
        return (await proxy.meshproxy("status"))[1]

    await wait_until(lambda: _contains(status, "PROBLEM:"), "the problem is shown")
    assert (await proxy.meshproxy("status"))[0] == 1
    assert renewed.serial in await shown()
    assert 'meshproxy_identity_up{source="files"} 0' in await proxy.text("/metrics")
    assert "stays in force" in proxy.log_text()

    write(tmp_path, renewed)
    await wait_until(lambda: _lacks(status, "PROBLEM:"), "the problem is over")
    assert "PRIVATE KEY" not in proxy.log_text() + str(await proxy.get("/api/v1/config"))


async def _contains(text: Text, wanted: str) -> bool:
    return wanted in await text()


async def _lacks(text: Text, unwanted: str) -> bool:
    return unwanted not in await text()
