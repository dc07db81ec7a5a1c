"""What an identity source is. `tests/conformance/test_identity_sources.py` is its contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from meshproxy.snapshot.identity import Identity


class Trouble(NamedTuple):
    """Why there is no new identity. What was there before stays in force."""

    message: str


Emit = Callable[[Identity | Trouble], None]


class IdentitySource(Protocol):
    """Emits each new identity, and what keeps it from having one."""

    @property
    def name(self) -> str:
        """One word for people: ``files``, ``ca``, ``consul``."""
        ...

    def refresh(self) -> None:
        """Look again soon; nothing need have changed."""
        ...

    def at_hand(self) -> Identity | None:
        """The identity, where it takes no waiting: a configuration that needs it then comes with it."""
        ...

    async def run(self, emit: Emit) -> None:
        """Emit until cancelled. Never ends by itself, and raises nothing but `CancelledError`."""
        ...
