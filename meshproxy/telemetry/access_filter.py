"""Which requests the access log is to have. Lean: it runs in workers."""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.snapshot.model import AccessLog


class AccessFilter:
    """See `snapshot.model.AccessLog`; `random` gives floats in [0, 1)."""

    def __init__(self, config: AccessLog, random: Callable[[], float]) -> None:
        self._config = config
        self._flags = frozenset(config.flags)
        self._random = random

    def wants(self, status: int, seconds: float, flags: str) -> bool:
        """Whether a request that ended so is logged; `status` 0 is no response."""
        config = self._config
        if 0 < status < config.min_status or seconds < config.min_duration:
            return False
        if self._flags and self._flags.isdisjoint(flags.split(",")):
            return False
        if config.always_errors and (status >= 500 or not status or flags):
            return True
        return config.sample >= 1 or self._random() < config.sample
