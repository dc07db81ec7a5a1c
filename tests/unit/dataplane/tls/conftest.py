"""Fixtures: a data plane that speaks TLS, and origins that may."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import OK, Answer, Origin
from tests.support.tls import TLSPlane

MakeOrigin = Callable[..., Awaitable[Origin]]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[TLSPlane]:
    made = TLSPlane(tmp_path)
    yield made
    await made.stop()


@pytest.fixture
async def make_origin() -> AsyncIterator[MakeOrigin]:
    made: list[Origin] = []

    async def make(answer: Answer | bytes = OK, tls: ssl.SSLContext | None = None, **endpoint: Any) -> Origin:
        origin = Origin(answer)
        origin.tls = tls
        await origin.start(**endpoint)
        made.append(origin)
        return origin

    yield make
    for origin in made:
        await origin.stop()
