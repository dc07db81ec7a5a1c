"""Fixtures: a data plane that speaks HTTP, and origins for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.http import OK, Answer, HTTPPlane, Origin

MakeOrigin = Callable[..., Awaitable[Origin]]


@pytest.fixture
async def plane() -> AsyncIterator[HTTPPlane]:
    made = HTTPPlane()
    yield made
    await made.stop()


@pytest.fixture
async def make_origin() -> AsyncIterator[MakeOrigin]:
    made: list[Origin] = []

    async def make(answer: Answer | bytes = OK, **endpoint: Any) -> Origin:
        origin = Origin(answer)
        await origin.start(**endpoint)
        made.append(origin)
        return origin

    yield make
    for origin in made:
        await origin.stop()
