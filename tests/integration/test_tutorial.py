"""docs/tutorial.md works, word for word: its files are written, its commands run, and print what it shows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.addresses import can_bind, free_address
from tests.integration.conditions import wait_until
from tests.integration.programs import require
from tests.meta.project import ROOT

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"`((?:mesh|other)/\w+\.yaml)`")
_ADMIN = re.compile(r"--admin (\S+)")
_LISTENS = re.compile(r"(127\.[\d.]+)[: ](\d{4,5})")
SHARED = ("127.0.0.1:15000", "127.0.0.1:15001", "127.0.0.1:15053")
"""Addresses of the tutorial that something else is likely to have: others are used for them."""


class Step(NamedTuple):
    """A file to write, or commands with what the last of them shows in the end."""

    commands: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    path: str = ""
    text: str = ""


def _steps(text: str) -> Iterator[Step]:
    blocks = list(_BLOCK.finditer(text))
    for number, block in enumerate(blocks):
        kind, body = block.groups()
        if kind == "yaml":
            before = text[blocks[number - 1].end() : block.start()]
            yield Step(path=_PATH.findall(before)[-1], text=body)
        elif kind == "sh" and "pip install" not in body:
            following = blocks[number + 1] if number + 1 < len(blocks) else None
            shown = following[2] if following is not None and not following[1] else ""
            yield Step(commands=tuple(body.splitlines()), shows=tuple(shown.splitlines()))


def _is_shown(expected: str, output: str) -> bool:
    """Whether a line of `output` is `expected`, in which … is anything, and one space any number of them."""
    pattern = ".*".join(r"\s+".join(map(re.escape, part.split())) for part in expected.split("…"))
    return any(re.fullmatch(pattern, line.strip()) for line in output.splitlines())


class Terminal:
    """Runs the tutorial's commands in its directory."""

    def __init__(self, directory: Path, stack: AsyncExitStack, admin: str) -> None:
        self._directory = directory
        self._stack = stack
        self._admin = admin
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = os.environ | {"PATH": path, "MESHPROXY_ADMIN": admin}
        self.proxies: list[asyncio.subprocess.Process] = []

    async def write(self, path: str, text: str) -> None:
        """Write a file; a proxy that runs must put it into force."""
        before = await self._version() if self.proxies else ""
        (self._directory / path).write_text(text)
        if self.proxies and path.startswith("mesh/"):

            async def is_applied() -> bool:
                return await self._version() != before

            await wait_until(is_applied, f"{path} is in force")

    async def run(self, command: str, shows: tuple[str, ...]) -> None:
        """Run it to its end; again and again until it shows what it should, since checks and changes take a moment."""
        output = ""

        async def is_right() -> bool:
            nonlocal output
            process = await asyncio.create_subprocess_exec(
                *("bash", "-c", command),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._directory,
                env=self._environment,
            )
            output = (await process.communicate())[0].decode()
            return process.returncode == 0 and all(_is_shown(each, output) for each in shows)

        try:
            await wait_until(is_right, f"{command} shows what it should")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{output}") from None

    async def start(self, command: str) -> None:
        """Run it beside everything else, from when it can be asked."""
        log = self._stack.enter_context((self._directory / "log").open("ab"))
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f"exec {command}"), stdout=log, stderr=log, cwd=self._directory, env=self._environment
        )
        self._stack.push_async_callback(_end, process)
        if command.startswith("meshproxy run"):
            self.proxies.append(process)
            admin = _ADMIN.search(command)
            await self.run(f"meshproxy status --admin {admin[1] if admin else self._admin}", ())
        else:
            address = _LISTENS.search(command)
            assert address is not None, command
            await wait_until(lambda: not can_bind(address[1], int(address[2])), f"{command} listens")

    async def _version(self) -> str:
        text = await asyncio.to_thread(_get, f"http://{self._admin}/api/v1/status")
        return str(json.loads(text)["config"]["version"])


def _get(url: str) -> bytes:
    answer: bytes = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10).read()
    return answer


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


@pytest.mark.timeout(300)
async def test_the_tutorial(tmp_path: Path) -> None:
    require("curl")
    text = (ROOT / "docs" / "tutorial.md").read_text()
    free = {address: str(free_address()) for address in SHARED}
    for address, other in free.items():
        text = text.replace(address, other)
    for host, port in set(_LISTENS.findall(text)):
        if not can_bind(host, int(port)):
            pytest.skip(f"{host}:{port}, which the tutorial uses, is taken")
    async with AsyncExitStack() as stack:
        terminal = Terminal(tmp_path, stack, free[SHARED[0]])
        for step in _steps(text):
            if step.path:
                await terminal.write(step.path, step.text)
            for number, command in enumerate(step.commands, start=1):
                if command.endswith("&"):
                    await terminal.start(command.removesuffix("&"))
                else:
                    await terminal.run(command, step.shows if number == len(step.commands) else ())
        assert [await proxy.wait() for proxy in terminal.proxies] == [0, 0]
    log = (tmp_path / "log").read_text()
    assert not re.search(r"Traceback| ERROR |Warning: ", log), log
