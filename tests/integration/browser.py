"""A real browser, headless, driven by the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.conditions import wait_until

WITHIN = 30.0
"""Seconds for the browser to start, and for what is waited for on a page: a browser needs more than a proxy."""
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--force-color-profile=srgb", "--mute-audio"),
)


def require_browser() -> str:
    """Chromium's path; skips the test where there is none."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None or not Path(found).exists():
        pytest.skip("no Chromium; on Debian: apt-get install chromium (or name one in CHROMIUM)")
    return found


class Page:
    """One tab. `complaints` are errors of scripts and of the console, refusals of the content security policy too."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def read(self) -> None:
        """Take what the browser says until it ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            waiting = self._answers.pop(said.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
            elif said.get("method") == "Runtime.exceptionThrown":
                details = said["params"]["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description") or details["text"])
            elif said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.complaints.append(said["params"]["entry"]["text"])

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(WITHIN):
            said = await answer
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def go(self, url: str) -> None:
        await self.ask("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """The value of an expression."""
        said = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    async def wait_for(self, script: str, what: str) -> None:
        """Until an expression is true."""
        try:
            await wait_until(lambda: self.run(script), what, within=WITHIN)
        except AssertionError as error:
            text = await self.text()
            raise AssertionError(f"{error}; complaints: {self.complaints}; the page says:\n{text}") from None

    async def wait_for_text(self, text: str) -> None:
        """Until the page shows it."""
        await self.wait_for(
            f"(document.body?.innerText ?? '').includes({json.dumps(text)})", f"the page shows {text!r}"
        )

    async def text(self) -> str:
        """What the page shows."""
        shown: str = await self.run("document.body?.innerText ?? ''")
        return shown

    async def press(self, key: str) -> None:
        """Press and release a key: a character, or a name such as Tab."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        code = codes.get(key, ord(key[0].upper()))
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def type(self, text: str) -> None:
        """Into what has the focus."""
        await self.ask("Input.insertText", text=text)

    async def look(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Have a screen of this size, in pixels of CSS."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        await self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    async def screenshot(self) -> bytes:
        """A PNG of what is seen."""
        said = await self.ask("Page.captureScreenshot", format="png")
        return base64.b64decode(said["data"])


@asynccontextmanager
async def browsing(directory: Path) -> AsyncIterator[Page]:
    """A browser with one empty tab, with a profile of its own in `directory`."""
    profile = directory / "profile"
    with (directory / "browser.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(require_browser(), *_OPTIONS, f"--user-data-dir={profile}", "about:blank"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        async with _page_of(profile) as page:
            yield page
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def _page_of(profile: Path) -> AsyncIterator[Page]:
    port_file = profile / "DevToolsActivePort"
    await wait_until(lambda: port_file.exists() and port_file.read_text().count("\n"), "the browser is up", WITHIN)
    port = port_file.read_text().split()[0]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
            tabs = await response.json()
        tab = next(each for each in tabs if each["type"] == "page")
        async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            reader = asyncio.get_running_loop().create_task(page.read(), name="browser")
            try:
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await page.ask(f"{domain}.enable")
                yield page
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
